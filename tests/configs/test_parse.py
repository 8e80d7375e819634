import pytest

from configs import parse

PARSERS = {
  'smoke': parse.switch,
  'data': parse.choice('synthetic', 'folder'),
  'classes': parse.choice(12, 35),
  'bits': parse.number(int, 2, 24),
  'rate': parse.number(float, 0.0, 1.0),
  'data_dir': parse.text,
}


def test_options():
  found = parse.options(
    'smoke,data=folder,classes=35,bits=2,rate=0.5,data_dir=/a=b', PARSERS
  )
  assert found == {
    'smoke': True, 'data': 'folder', 'classes': 35, 'bits': 2, 'rate': 0.5,
    'data_dir': '/a=b',
  }
  assert isinstance(found['classes'], int)


@pytest.mark.parametrize('string', ['', ',', ',,'])
def test_no_option(string):
  assert parse.options(string, PARSERS) == {}


@pytest.mark.parametrize('string, message', [
  ('foo', "config option 'foo' does not exist; choose from smoke, data, "
          'classes, bits, rate, data_dir.'),
  ('smoke,smoke', "config option 'smoke' stands twice; keep one."),
  ('smoke=1', 'smoke takes no value; write smoke alone.'),
  ('data', 'data= is not possible; choose one of synthetic, folder.'),
  ('classes=13', 'classes=13 is not possible; choose one of 12, 35.'),
  ('bits=1', 'bits=1 is not possible; choose a whole number from 2 to 24.'),
  ('bits=25', 'bits=25 is not possible; choose a whole number from 2 to 24.'),
  ('bits=8.0', 'bits=8.0 is not possible; choose a whole number from 2 to 24.'),
  ('bits', 'bits= is not possible; choose a whole number from 2 to 24.'),
  ('rate=nan', 'rate=nan is not possible; choose a number from 0.0 to 1.0.'),
  ('data_dir=', 'data_dir= needs a value behind it.'),
])
def test_refused(string, message):
  with pytest.raises(ValueError) as caught:
    parse.options(string, PARSERS)
  assert str(caught.value) == message
