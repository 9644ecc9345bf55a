"""An encoder that computes in integers only: the definition that training, the ONNX graph and the tests are held to.

The method is I-BERT (Kim et al., ICML 2021, https://arxiv.org/abs/2101.01321). A tensor of real numbers is a tensor of
integers and a *scale*, the real size of one step: ``real = integer * scale``. Scales are constants, found before
anything runs, so that running needs integers alone:

- a product of 8-bit integers is summed in 32 bits, and its scale is the product of the two scales (:mod:`.linear`);
- a number changes its scale by a multiplication and a shift, a *dyadic* fraction (:mod:`.dyadic`, :mod:`.requantizer`);
- exp, erf and the square root, which have no integer form, are replaced by polynomials of degree two and by Newton's
  iteration (:mod:`.exponential`, :mod:`.softmax`, :mod:`.gelu`, :mod:`.square_root`, :mod:`.layer_norm`);
- :mod:`.encoder` puts them together, and :mod:`.build` computes all of its constants from the weights and from the
  range of each activation (:mod:`.ranges`, :mod:`.balance`).

Every function here takes and gives ``int64`` arrays of numpy, and every value is bounded when an encoder is built, so
that nothing can overflow. How wide a value is for hardware stands with each: 8, 16, 22 or 32 bits, and 64 for the sum
of squares and the reciprocal of a layer norm and for the product within a requantization.

Departures from the paper, each for a reason: what a linear layer reads may have a scale for each channel, which its
weights take on, since encoders have a few channels with values many times as large as all others; ranges end at 127,
never at -128; the scale of exp is such that ln 2 is a power of two; probabilities are divided and rounded at once; a
norm's reciprocal has 46 bits, and its beta is added after gamma, so that gamma may be zero; what enters GELU has 16
bits, so that GELU stays within 32.
"""
