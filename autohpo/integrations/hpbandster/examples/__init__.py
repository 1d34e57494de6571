"""The worker of HpBandSter's first examples, under the path that it has there."""
