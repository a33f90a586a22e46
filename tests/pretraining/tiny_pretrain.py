"""`affekt` with a network of 30,000 numbers under the name of the smallest, for processes of their own."""

from affekt.cli import main
from affekt.pretraining import forms

if __name__ == '__main__':
    forms.FORMS['hicmae-tiny'] = lambda: forms.HicmaeForm(
        16, 2, 16, 2, depth=4, decoder_depth=3, fusion_depth=1, frames=4, size=32, steps=64
    )
    main()
