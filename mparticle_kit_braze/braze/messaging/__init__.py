"""Braze's messaging features without a screen: in-app messages, content cards, feature flags, banners, push."""
