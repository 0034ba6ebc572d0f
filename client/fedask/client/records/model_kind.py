"""Kinds of models that a store keeps. Named here, so that no process needs torch."""

GLOBAL = "global"  # of the fleet, as the device last scored with it; oldest first
LOCAL = "local"  # the device's last update, for scorers that look through it
OWN = "own"  # what the device trained for itself; never sent
