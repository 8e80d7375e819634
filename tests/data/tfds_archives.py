"""The two official archives, packed anew from folders of a few clips."""

import io
import json
import pathlib
import tarfile

NAMES = ('speech_commands_v0.02', 'speech_commands_test_set_v0.02')


def pack(root: pathlib.Path, path: pathlib.Path) -> None:
  """Packs a folder as the official archives are, './yes/x.wav' and so on."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with tarfile.open(path, 'w:gz') as archive:
    for file in sorted(root.rglob('*')):
      if file.is_file():
        content = file.read_bytes()
        entry = tarfile.TarInfo(f'./{file.relative_to(root)}')
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))


def pack_downloads(
  data_dir: pathlib.Path, full: pathlib.Path, test: pathlib.Path
) -> None:
  """Puts both where tensorflow-datasets keeps what it has downloaded.

  It names a download by its URL and registered checksum and trusts what has
  that name, so this must be a data folder of its own.
  """
  from tensorflow_datasets.core.download import resource
  from tensorflow_datasets.datasets.speech_commands import (
    speech_commands_dataset_builder as builder,
  )

  checksums = builder.Builder.url_infos
  for url, root in zip(sorted(checksums, key=len), (full, test), strict=True):
    name = resource.get_dl_fname(url, checksums[url].checksum)
    path = data_dir / 'downloads' / name
    pack(root, path)
    info = {'dataset_names': ['speech_commands'], 'urls': [url]}
    resource.get_info_path(path).write_text(json.dumps(info))
