"""Builds the compiled kernel where there is a C compiler; see setup.cfg."""

import pathlib

import jaxlib
import setuptools

FOLDER = pathlib.Path('bnn_jax/nn/kernels')

setuptools.setup(
  ext_modules=[
    setuptools.Extension(
      'bnn_jax.nn.kernels.overflow',
      sources=[
        str(FOLDER / name)
        for name in ('handler.c', 'layout.c', 'pack.c', 'portable.c',
                     'avx512.c')
      ],
      depends=[str(FOLDER / n) for n in ('overflow.h', 'avx512_narrow.h')],
      include_dirs=[str(pathlib.Path(jaxlib.__file__).parent / 'include')],
      extra_compile_args=['-O3', '-std=gnu11', '-fvisibility=hidden'],
      # Without the library the package runs on the lax engine.
      optional=True,
    )
  ]
)
