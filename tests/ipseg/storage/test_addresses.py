import io
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.errors import SourceError
from ipseg.storage.addresses import fetch, parquet_uri, tar_uri


def test_an_image_is_fetched_from_a_file_a_row_and_a_member(tmp_path):
    (tmp_path / "a #1.jpg").write_bytes(b"file")
    assert fetch(str(tmp_path / "a #1.jpg")) == b"file"
    table = tmp_path / "t.parquet"
    cells = [b"0", b"1", None, b"3"]
    pq.write_table(pa.table({"my image": cells}), table, row_group_size=2)
    assert fetch(parquet_uri(str(table), 3, "my image")) == b"3"
    with pytest.raises(SourceError, match="row 2, column 'my image': it holds no bytes"):
        fetch(parquet_uri(str(table), 2, "my image"))
    with pytest.raises(SourceError, match="no row 4, it has 4"):
        fetch(parquet_uri(str(table), 4, "my image"))


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_members_of_any_name_are_found(tmp_path_factory, name):
    file = tmp_path_factory.mktemp("tar") / "t.tar"
    with tarfile.open(file, "w") as tar:
        member = tarfile.TarInfo(f"x{name}x")
        member.size = 6
        tar.addfile(member, io.BytesIO(b"member"))
    assert fetch(tar_uri(str(file), f"x{name}x")) == b"member"
    with pytest.raises(SourceError, match="no member"):
        fetch(tar_uri(str(file), "other"))
