"""What is compared: the published methods and our network, with their sizes.

The numbers are the methods' own, each with the rules of its test and where it
was read. 'recalled' ones come from memory of a published table: they are shown
and never count as facts.
"""

from collections.abc import Mapping
import dataclasses

from experiments import plan

OURS = 'ours'
# Whose float version tells whether another method is undertrained.
REFERENCE = (OURS, 'M', 'float')

# Options by the variant's name.
_BINARIES = {'float': 'variant=float', 'binary': 'variant=binary'}
_OURS = {
  'float': 'variant=float',
  'binary': 'variant=binary,accumulator_bits=16',
  'wrap8': 'variant=overflow,accumulator_bits=8,overflow_mode=wrap',
  'wrap7': 'variant=overflow,accumulator_bits=7,overflow_mode=wrap',
}


@dataclasses.dataclass(frozen=True)
class Published:
  """A number from a paper.

  Attributes:
    number: an accuracy in percent, or a loss in points.
    source: where it was read.
    data: 'V1' or 'V2' of Speech Commands.
    protocol: a name in `bnn_jax.data.protocols`, or another code base's.
    deviation: over seeds, in percent; None where not given.
    classes: of the test.
    is_loss: whether it is what a binary network loses to its float one.
    verified: whether it was read anywhere, rather than recalled.
    own_lists: whether its test has lists of its own, so that the same rule
      gives other clips.
  """

  number: float
  source: str
  data: str
  protocol: str
  deviation: float | None = None
  classes: int = 12
  is_loss: bool = False
  verified: bool = True
  own_lists: bool = False

  def bar(self, own: float) -> float:
    """The least accuracy that reproduces it; `own` is the float network's."""
    if self.is_loss:
      return own - self.number
    return self.number - (2 * self.deviation if self.deviation else 0.3)


@dataclasses.dataclass(frozen=True)
class Method:
  """A method.

  Attributes:
    name: of the configuration's file, or `OURS`.
    label: for readers.
    small: sizes that two CPU cores train.
    large: sizes that need an accelerator, or that add little.
    published: numbers of the float network by its size, and of another
      variant by size, '-' and variant.
    variants: options by the variant's name.
    real_parts: what stays real in its binary networks, since
      docs/arithmetic.md has no integers for it, by size.
  """

  name: str
  label: str
  small: tuple[str, ...]
  large: tuple[str, ...] = ()
  published: Mapping[str, tuple[Published, ...]] = dataclasses.field(
    default_factory=dict
  )
  variants: Mapping[str, str] = dataclasses.field(
    default_factory=lambda: _BINARIES
  )
  real_parts: Mapping[str, str] = dataclasses.field(default_factory=dict)

  @property
  def file(self) -> str:
    """The configuration's."""
    if self.name == OURS:
      return plan.CONFIG
    return f'configs/baselines/{self.name}.py'

  def sizes(self, which: str) -> tuple[str, ...]:
    """Sizes that are 'small', 'large' or 'all'."""
    return {
      'small': self.small, 'large': self.large, 'all': self.small + self.large,
    }[which]


_RECALLED = 'recalled, unverified'
_TOPOLOGY = 'ds_tc_resnet of kws_streaming, the same topology'
_SECOND = 'second-hand'
_QUOTED = 'as quoted by the paper of BC-ResNet'


def _hello_edge(accuracy: float, source: str) -> tuple[Published, ...]:
  return (
    Published(
      accuracy, source, 'V1', 'hello_edge', verified=source != _RECALLED
    ),
  )


def _tc_resnet(accuracy: float, source: str) -> tuple[Published, ...]:
  return (
    Published(
      accuracy, source, 'V1', 'tc_resnet', verified=source != _RECALLED,
      own_lists=True,
    ),
  )


def _matchboxnet(first: float, second: float) -> tuple[Published, ...]:
  return (
    Published(first, _QUOTED, 'V1', 'NeMo', classes=30),
    Published(second, _QUOTED, 'V2', 'NeMo', classes=35),
  )


def _bc_resnet(
  first: float, second: float, *deviations: float
) -> tuple[Published, ...]:
  one, two = deviations or (None, None)
  return (
    Published(first, 'paper', 'V1', 'official', one),
    Published(second, 'paper', 'V2', 'official', two),
  )


METHODS = (
  Method(
    'dnn', 'DNN', ('S',), ('L',),
    {'S': _hello_edge(84.6, _RECALLED), 'L': _hello_edge(86.7, _RECALLED)},
  ),
  Method(
    'cnn_one_fstride4', 'cnn-one-fstride4', ('one-fstride4',), (),
    {'one-fstride4': _tc_resnet(84.6, _RECALLED)},
  ),
  Method(
    'cnn_trad_fpool3', 'cnn-trad-fpool3', ('trad-fpool3',), (),
    {'trad-fpool3': _tc_resnet(90.7, _RECALLED)},
  ),
  Method(
    'crnn', 'CRNN', ('S',), ('L',),
    {'S': _hello_edge(94.0, _SECOND), 'L': _hello_edge(95.0, _RECALLED)},
    real_parts=dict.fromkeys(('S', 'L'), 'gates'),
  ),
  Method(
    'ds_cnn', 'DS-CNN', ('S',), ('L',),
    {'S': _hello_edge(94.4, _SECOND), 'L': _hello_edge(95.4, 'abstract')},
  ),
  Method(
    'res', 'Res', ('res8',), ('res15',),
    {'res8': (Published(94.1, _RECALLED, 'V1', 'honk', verified=False),),
     'res15': (Published(95.8, _QUOTED, 'V1', 'honk'),)},
    real_parts={'res8': 'means of 12 positions'},
  ),
  Method(
    'tc_resnet', 'TC-ResNet', ('8',), ('14-1.5',),
    {'8': _tc_resnet(96.1, _SECOND), '14-1.5': _tc_resnet(96.6, _QUOTED)},
  ),
  Method(
    'matchboxnet', 'MatchboxNet', ('3x1x64',), ('3x2x64',),
    {'3x1x64': (
      *_matchboxnet(97.2, 96.9),
      Published(98.0, _TOPOLOGY, 'V2', 'kws_streaming'),
    ), '3x2x64': (
      *_matchboxnet(97.5, 97.2),
      Published(97.21, _SECOND, 'V2', 'NeMo', 0.072, classes=35),
    )},
  ),
  Method(
    'mhatt_rnn', 'MHAtt-RNN', ('paper',), ('new',),
    {'paper': (
      Published(97.2, _QUOTED, 'V1', 'kws_streaming'),
      Published(98.0, _QUOTED, 'V2', 'kws_streaming'),
    ), 'new': (Published(98.4, 'kws_streaming', 'V2', 'kws_streaming'),)},
    real_parts=dict.fromkeys(('paper', 'new'), 'gates, attention'),
  ),
  Method(
    'kwt', 'KWT', ('1',), (),
    {'1': (Published(97.7, "authors' code", 'V2', 'kws_streaming'),)},
    real_parts={'1': 'attention, layer normalization'},
  ),
  Method(
    'bc_resnet', 'BC-ResNet', ('1',), ('3', '8'),
    {'1': _bc_resnet(96.6, 96.9, 0.21, 0.30), '3': _bc_resnet(97.6, 98.2),
     '8': _bc_resnet(98.0, 98.7)},
    real_parts=dict.fromkeys(('1', '3', '8'), 'means over frequency, SiLU'),
  ),
  # Its papers' absolute accuracies are not at hand. The older version differs
  # in the variant 'paper' alone, so the small sizes do without it.
  Method(
    'bifsmn', 'BiFSMN', ('v2',), ('v1',),
    {'v1-paper': (Published(3.0, 'abstract', 'V1', 'bifsmn', is_loss=True),),
     'v2-paper': (Published(1.51, 'abstract', 'V1', 'bifsmn', is_loss=True),)},
    _BINARIES | {'paper': 'variant=paper'},
  ),
  Method(OURS, 'ours', ('S', 'M'), ('L',), {}, _OURS),
)
