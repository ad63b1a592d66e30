"""Text to image: a network that says how noise has to move to become a picture of what a sentence says."""

from mmcourse.models.text2image.model import Text2Image, Text2ImageConfig, from_pixels, to_pixels
from mmcourse.models.text2image.unet import UNet

__all__ = ["Text2Image", "Text2ImageConfig", "UNet", "from_pixels", "to_pixels"]
