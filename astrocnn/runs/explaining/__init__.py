"""What `astrocnn explain` does, a part a file: the network, the objects, their maps, the whole."""
