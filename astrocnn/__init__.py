"""Convolutional networks for survey astronomy.

FITS cutouts and band stacks in, calibrated predictions with uncertainty out.  Importing this
package imports neither Keras nor TensorFlow.
"""

from __future__ import annotations

from astrocnn.errors import AstrocnnError
from astrocnn.flags import Flag

__version__ = "0.1.0"
__all__ = ["AstrocnnError", "Flag", "__version__"]
