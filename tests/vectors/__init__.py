"""Conformance vectors: recorded or derived behaviour of the real kits and SDKs, and their replay."""
