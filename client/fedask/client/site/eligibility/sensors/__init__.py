"""What a device can tell about itself: power, load, network, heat, disk, time."""
