"""The labelling service: the desk for apps that are not a browser, over gRPC."""
