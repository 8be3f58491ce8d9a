"""What the tasks do with recordings of users: prompted sounds, all sounds, sounds over time."""
