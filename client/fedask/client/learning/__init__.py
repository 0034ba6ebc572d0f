"""What the device does with models: select samples and train on labels."""
