"""The version, read by the build and sent as the SDK version."""

__version__ = "0.1.0"
