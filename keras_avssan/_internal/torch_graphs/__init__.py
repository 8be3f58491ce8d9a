"""Steps of Keras models as graphs of PyTorch operations, without the Python of the layers."""
