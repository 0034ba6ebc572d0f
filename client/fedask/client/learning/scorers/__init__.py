"""How uncertain the model is: one pure function per published score."""
