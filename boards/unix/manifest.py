# What a unix build of MicroPython would freeze for this board: the block device that _boot.py mounts.
# The application is not frozen: it lives in the flash image's slots, where an update can replace it.
metadata(version="1.0.0", description="Godwit on the desk")
module("flashdev.py")
