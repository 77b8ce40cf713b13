"""Readers of faces, on small trees written for the purpose: what is read is what was written."""

import hashlib

import numpy as np
import pytest
from PIL import Image
from running import message

from comparisons.datasets.drawn.generator import CLIPS, generate
from comparisons.datasets.drawn.writer import LAYOUTS, ONSET, write_faces
from comparisons.datasets.faces import detector, tree
from comparisons.datasets.faces.expressions import NAMES, TABLE_CODES, TREE_CODES, expression
from comparisons.datasets.faces.frames import Frames
from comparisons.datasets.faces.reader import found, load_faces
from comparisons.datasets.pictures import read_grey, upright
from comparisons.errors import DataError, Fault, NotThereError
from comparisons.tasks.dexpression import DexpressionOptions, DexpressionTask

SIDE = 16
pytestmark = pytest.mark.usefixtures("no_data_of_this_machine")


def picture(path, seed=0, size=(SIDE, SIDE), mode="L"):
    """Write a picture of noise, (width, height); return its pixels."""
    depth = {"L": (), "RGB": (3,)}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], *depth), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def as_written(data):
    return data.x[:, 0]


def refusal(kind, *args, **kwargs):
    """The message of load_faces' refusal, which is one line."""
    with pytest.raises(kind) as info:
        load_faces(*args, **kwargs)
    return message(info)


# ---- names ---------------------------------------------------------------------------------------

@pytest.mark.parametrize(("word", "name"), [
    ("anger", "anger"), ("Angry", "anger"), ("03_happy", "happy"), ("HAPPINESS", "happy"),
    ("sad", "sadness"), ("surprised", "surprise"), ("neutral", "neutral"), ("3", None),
    ("thumbnails", None), ("", None)])
def test_expressions_go_by_name(word, name):
    assert expression(word) == name


def test_codes_are_those_of_their_sources():
    assert TREE_CODES[3] == "disgust"
    assert TABLE_CODES[3] == "happy"
    assert sorted(TREE_CODES) == sorted(TABLE_CODES) == list(NAMES)


@pytest.mark.parametrize(("text", "frames"), [
    ("last:3", Frames(3)), ("last:12", Frames(12)), ("peak", Frames(1)),
    ("neutral-to-peak", Frames(3, neutral=True))])
def test_frames_are_parsed(text, frames):
    assert Frames.parse(text) == frames


@pytest.mark.parametrize("text", ["", "last", "last:", "last:0", "last:-1", "last:2.5", "first:2"])
def test_frames_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match="must be last:N with N from 1, peak or neutral-to-peak"):
        Frames.parse(text)


# ---- folders named after expressions -------------------------------------------------------------

@pytest.mark.parametrize("inner", [".", "CK+48", "CK+48/CK+48"])
def test_ck48_keeps_persons_and_clips(tmp_path, inner):
    root = tmp_path / inner
    written = {name: picture(root / folder / f"{name}.png", seed) for seed, (folder, name)
               in enumerate([("anger", "S010_004_00000017"), ("anger", "S010_004_00000018"),
                             ("happy", "S010_006_00000015"), ("surprise", "S999_001_00000018")])}
    data = load_faces(tmp_path, SIDE)
    assert (data.name, data.left_out) == ("ck+48", ())
    assert data.classes == ["anger", "happy", "surprise"]
    assert data.y.tolist() == [0, 0, 1, 2]
    assert (data.x.dtype, data.y.dtype) == (np.uint8, np.int64)
    assert data.subjects.tolist() == ["S010", "S010", "S010", "S999"]
    assert data.clips.tolist() == ["S010_004", "S010_004", "S010_006", "S999_001"]
    np.testing.assert_array_equal(as_written(data), list(written.values()))
    assert "4 images of 16 px, 3 recordings of 2 persons" in data.source
    last = load_faces(tmp_path, SIDE, frames=Frames(1))
    np.testing.assert_array_equal(as_written(last), list(written.values())[1:])


def test_folders_that_differ_in_case_only_are_both_read(tmp_path):
    for seed, folder in enumerate(("anger", "Anger", "happy")):
        picture(tmp_path / folder / f"S01{seed}_004_00000017.png", seed)
    if len(list(tmp_path.iterdir())) == 3:              # the system tells them apart
        assert load_faces(tmp_path, SIDE).y.tolist() == [0, 0, 1]


def test_a_stray_copy_does_not_hide_whose_faces_the_others_are(tmp_path):
    for seed, folder in enumerate(("anger", "happy", "happy")):
        picture(tmp_path / folder / f"S01{seed}_004_00000017.png", seed)
    stray = tmp_path / "happy" / "copy of S012_004_00000017.png"
    picture(stray, 2)
    data = load_faces(tmp_path, SIDE)
    assert data.subjects.tolist() == ["S010", "S011", "S012"]
    line, = data.left_out
    assert line.startswith(f"{stray}: not named like the others")


def test_folders_with_a_test_part_of_their_own(tmp_path):
    for seed, part in enumerate(("train", "validation", "test")):
        for folder in ("Happy", "Sad"):
            picture(tmp_path / "fer" / part / folder / "a.jpg", seed)
    data = load_faces(tmp_path, SIDE)
    assert (data.name, data.classes) == ("fer", ["happy", "sadness"])
    assert data.subjects is None
    assert data.clips is None
    assert data.test_rows.tolist() == [4, 5]
    assert "persons" not in data.source


def test_pictures_of_any_shape_and_mode(tmp_path):
    wide = picture(tmp_path / "fear" / "wide.png", 0, (40, SIDE), "RGB")
    picture(tmp_path / "sad" / "tall.bmp", 1, (SIDE, 40))
    data = load_faces(tmp_path, SIDE)
    grey = np.asarray(Image.fromarray(wide[:, 12:28]).convert("L"))     # the middle
    np.testing.assert_array_equal(as_written(data)[0], grey)
    assert load_faces(tmp_path, 32).x.shape == (2, 1, 32, 32)


def test_what_cannot_be_read_is_one_line_each(tmp_path):
    for folder in ("anger", "happy"):
        picture(tmp_path / folder / "good.png")
    whole = (tmp_path / "anger" / "good.png").read_bytes()
    faulty = {"anger/cut.png": whole[:len(whole) // 2], "anger/empty.png": b"",
              "happy/notes.txt": b"not a picture"}
    for name, content in faulty.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "happy" / ".DS_Store").write_bytes(b"of no interest")
    picture(tmp_path / "thumbnails" / "good.png")
    data = load_faces(tmp_path, SIDE)
    assert len(data.x) == 2
    assert len(data.left_out) == 4
    for path in [tmp_path / "thumbnails", *map(tmp_path.joinpath, faulty)]:
        assert sum(line.startswith(f"{path}: ") for line in data.left_out) == 1
    assert all("\n" not in line for line in data.left_out)
    assert "4 left out as faulty" in data.source


def test_a_folder_without_a_good_picture_is_a_fault(tmp_path):
    for folder in ("anger", "happy"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(b"")
    told = refusal(DataError, tmp_path)
    assert told.startswith(f"{tmp_path}, folders named after expressions: 0 readable faces")
    assert f"{tmp_path / 'anger' / 'a.png'}: not a picture" in told


def test_what_is_found_and_what_is_not(tmp_path):
    assert refusal(NotThereError, tmp_path).startswith(f"{tmp_path}: holds no faces")
    picture(tmp_path / "anger" / "a.png")               # one class is not enough
    assert refusal(NotThereError, tmp_path).startswith(f"{tmp_path}: holds no faces")
    for folder in ("sad", "3"):
        picture(tmp_path / "a/b" / folder / "a.png")    # numbers do not name a class
        picture(tmp_path / "c/d/e" / folder / "a.png")
        picture(tmp_path / "c/d/e/happy" / "a.png")     # too deep
    assert found(tmp_path) == []
    picture(tmp_path / "a/b/happy/a.png")
    assert found(tmp_path) == [tmp_path / "a/b"]


def test_frames_need_recordings(tmp_path):
    for folder in ("anger", "happy"):
        picture(tmp_path / folder / "a.png")
    assert "do not say which recording" in refusal(NotThereError, tmp_path, frames=Frames(1))
    assert load_faces(frames=Frames(1)) is None
    with pytest.raises(NotThereError, match="--frames: selects frames of real recordings"):
        DexpressionTask().load(DexpressionOptions(frames="peak"))


# ---- tables --------------------------------------------------------------------------------------

def test_a_table_and_its_faulty_rows(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE))
    text = [" ".join(map(str, image.ravel())) for image in pixels]
    table = tmp_path / "ckextended.csv"
    table.write_text("emotion,pixels,Usage\n" + "\n".join([
        f"3,{text[0]},Training", f"7,{text[1]},PublicTest", f"6,{text[2]},PrivateTest",
        "3,1 2 3,Training", f"8,{text[0]},Training", "3,1 x 3 4,Training",
        "3,1 2 3 256,Training", "3", f",{text[0]},"]) + "\n")
    data = load_faces(tmp_path, SIDE)
    assert (data.name, data.classes) == ("ckextended", ["contempt", "happy", "neutral"])
    assert data.y.tolist() == [1, 0, 2]
    np.testing.assert_array_equal(as_written(data), pixels)
    assert data.subjects is None
    assert data.test_rows.tolist() == [2]
    assert sorted(line.split(": ")[0] for line in data.left_out) == \
        sorted(f"{table}, line {n}" for n in range(5, 11))
    assert "does not identify recordings" in refusal(NotThereError, tmp_path, frames=Frames(1))


def test_a_table_of_large_pictures_from_a_spreadsheet(tmp_path):
    large = " ".join(["128"] * 224**2)
    (tmp_path / "faces.csv").write_text(f"emotion,pixels\n0,{large}\n3,{large}\n", "utf-8-sig")
    data = load_faces(tmp_path, SIDE)
    assert (len(data.y), data.left_out) == (2, ())


def test_every_line_of_a_table_is_accounted_for(tmp_path):
    """A quotation mark that is not closed spoils its own line, and none of those below it."""
    pixels = " ".join(["7"] * 16)
    table = tmp_path / "faces.csv"
    table.write_text("emotion,pixels\n" + "\n".join([
        f"0,{pixels}", f'0,"{pixels}', f"3,{pixels}", f'"3",{pixels},', f'"3","{pixels}"']) + "\n")
    data = load_faces(tmp_path, 4)
    assert len(data.y) == 3
    assert data.left_out == (f"{table}, line 3: a quotation mark is not closed",
                             f"{table}, line 5: 3 cells; expected 2")
    table.write_text(f'"emotion,pixels\n0,{pixels}\n3,{pixels}\n')
    with pytest.raises(DataError, match=r"faces\.csv, line 1: a quotation mark is not closed"):
        load_faces(table, 4)


def test_other_tables_are_no_faces(tmp_path):
    (tmp_path / "a.csv").write_text("pixels,label\n1,2\n")
    (tmp_path / "b.csv").write_bytes(bytes(range(256)))
    assert found(tmp_path) == []


# ---- CK+'s own tree ------------------------------------------------------------------------------

EYES = np.array([(300.0, 200.0), (380.0, 230.0)])      # a head that leans to its left


def landmarks(eyes):
    points = np.full((68, 2), 300.0)
    points[36:42], points[42:48] = eyes
    return "\n".join(f"   {x:.7e}   {y:.7e}" for x, y in points) + "\n"


def official(root, emotion="Emotion", with_landmarks=True):
    """Three recordings of two persons; the last has no label."""
    images = root / "cohn-kanade-images"
    for k, (clip, frames, code) in enumerate([("S005/001", 5, 3), ("S005/002", 2, 7),
                                              ("S010/001", 4, None)]):
        stem = clip.replace("/", "_")
        for n in range(1, frames + 1):
            picture(images / clip / f"{stem}_{n:08}.png", k, (640, 480 if k else 490),
                    "RGB" if k else "L")
            if with_landmarks:
                place = root / "Landmarks" / clip
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{stem}_{n:08}_landmarks.txt").write_text(landmarks(EYES))
        (images / clip / ".DS_Store").touch()
        place = root / emotion / clip
        place.mkdir(parents=True)
        if code is not None:
            (place / f"{stem}_{frames:08}_emotion.txt").write_text(f"   {code}.0000000e+00\n")
    return images


@pytest.mark.parametrize("emotion", ["Emotion", "Emotion_labels/Emotion"])
def test_the_official_tree(tmp_path, emotion):
    official(tmp_path / "ck", emotion)
    data = load_faces(tmp_path, SIDE)
    assert (data.name, data.classes) == ("ck+", ["disgust", "surprise"])
    assert data.clips.tolist() == ["S005_001"] * 3 + ["S005_002"] * 2
    assert data.y.tolist() == [0, 0, 0, 1, 1]
    assert data.source.endswith("5 images of 16 px, 2 recordings of 1 person; "
                                "1 recording without a label")
    assert load_faces(tmp_path, SIDE, frames=Frames(1)).clips.tolist() == ["S005_001", "S005_002"]
    both = load_faces(tmp_path, SIDE, frames=Frames(3, neutral=True))
    assert [both.classes[k] for k in both.y] == \
        ["neutral", "disgust", "disgust", "disgust", "surprise", "surprise"]


@pytest.mark.parametrize("code", ["9.0000000e+00", "nan", "", "3,0", "drei ü"])
def test_faults_of_the_official_tree_are_named(tmp_path, code):
    images = official(tmp_path)
    emotion = tmp_path / "Emotion/S010/001/S010_001_00000004_emotion.txt"
    emotion.write_text(code, "latin-1")
    points = tmp_path / "Landmarks/S005/001/S005_001_00000004_landmarks.txt"
    points.write_text("1 2 3")
    same = tmp_path / "Landmarks/S005/002/S005_002_00000001_landmarks.txt"
    same.write_text(landmarks(EYES[[0, 0]]))
    image = images / "S005/001/S005_001_00000005.png"
    image.write_bytes(image.read_bytes()[:1000])
    picture(images / "S005/002/S005_002_00000002.png", 9)   # square: cut already
    data = load_faces(tmp_path, SIDE)
    assert len(data.left_out) == 4
    for path in (emotion, points, same, image):
        assert sum(line.startswith(f"{path}: ") for line in data.left_out) == 1
    (tmp_path / "Emotion").rename(tmp_path / "Else")
    assert refusal(DataError, tmp_path).startswith(f"{images}: there is no folder Emotion beside")


def test_landmarks_put_the_eyes_where_ck48_has_them():
    y, x = np.mgrid[:490, :640]
    dots = sum(np.exp(-((x - a)**2 + (y - b)**2) / 30) for a, b in EYES)
    cut = upright(Image.fromarray((255 * dots).astype(np.uint8)),
                  np.vstack([np.zeros((36, 2)), np.repeat(EYES, 6, 0), np.zeros((20, 2))]))
    face = np.asarray(cut, float) / cut.width**2
    side = cut.width
    assert cut.height == side == round(np.hypot(*(EYES[1] - EYES[0])) / 0.38)
    rows, columns = np.mgrid[:side, :side] + 0.5
    for half, at in ((columns < side / 2, 0.31), (columns >= side / 2, 0.69)):
        weight = face * half / (face * half).sum()
        assert (weight * columns).sum() / side == pytest.approx(at, abs=0.01)
        assert (weight * rows).sum() / side == pytest.approx(0.39, abs=0.01)


def test_without_landmarks_the_face_is_looked_for(tmp_path, monkeypatch):
    images = official(tmp_path, with_landmarks=False)
    boxes = {490: [(10, 20, 30, 40), (200, 100, SIDE, SIDE)], 480: []}

    monkeypatch.setattr(tree, "boxes", lambda picture: boxes[picture.height])
    told = refusal(DataError, tmp_path, SIDE)
    lost = images / "S005/002/S005_002_00000001.png"
    assert f"first of 2 faults: {lost}: no face found, and no landmarks say where" in told
    boxes[480] = [(0, 0, SIDE, SIDE)]
    data = load_faces(tmp_path, SIDE, frames=Frames(1))
    first, second = (np.asarray(read_grey(images / f"{name}.png")) for name in
                     ("S005/001/S005_001_00000005", "S005/002/S005_002_00000002"))
    largest = Image.fromarray(first).crop((10, 25, 40, 55)).resize((SIDE, SIDE), 2)
    np.testing.assert_array_equal(as_written(data), [largest, second[:SIDE, :SIDE]])


def test_without_a_detector_reading_ends_in_one_line(tmp_path, monkeypatch):
    images = official(tmp_path, with_landmarks=False)

    def without_opencv(_):
        raise Fault("something about OpenCV")

    monkeypatch.setattr(tree, "boxes", without_opencv)
    told = refusal(Fault, tmp_path)
    assert told.startswith(f"{images / 'S005/001/S005_001_00000003.png'}: has no landmarks")
    assert detector.INSTALL in told


@pytest.mark.parametrize("layout", LAYOUTS)
def test_written_faces_are_read_again(tmp_path, layout):
    assert write_faces(tmp_path / "out", layout, SIDE) == 981 + 327 * 3 * (layout == "ck")
    drawn = generate(SIDE, frames=(*ONSET, 0.75, 0.9, 1.0) if layout == "ck" else (0.75, 0.9, 1.0))
    data = load_faces(tmp_path / "out", SIDE)
    assert (data.name, data.left_out) == ("faces-generated", ())
    assert data.classes == list(CLIPS)
    last = np.arange(len(drawn.clips)) % (len(drawn.clips) // 327) >= len(drawn.clips) // 327 - 3
    rows = np.argsort(data.clips, kind="stable")    # the folders go by class, the program by person
    np.testing.assert_array_equal(data.clips[rows], drawn.clips[last])
    np.testing.assert_array_equal(data.subjects[rows], drawn.subjects[last])
    np.testing.assert_array_equal(data.y[rows], drawn.labels[last])
    np.testing.assert_array_equal(as_written(data)[rows], drawn.pixels[last])
    with pytest.raises(DataError, match="not empty"):
        write_faces(tmp_path / "out", layout, SIDE)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_written_file_has_its_checksum(tmp_path, layout):
    sums = []
    for folder, seed in (("a", 0), ("again", 0), ("b", 1)):
        write_faces(tmp_path / folder, layout, SIDE, seed)
        lines = (tmp_path / folder / "SHA256SUMS").read_text().splitlines()
        known = {name: digest for digest, name in (line.split("  ") for line in lines)}
        files = [path for path in (tmp_path / folder).rglob("*") if path.is_file()]
        assert len(known) == len(files) - 1                     # all but the list itself
        for name, digest in known.items():
            content = (tmp_path / folder / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == digest
        sums.append({name: digest for name, digest in known.items() if name.endswith(".png")})
    assert sums[0] == sums[1]
    assert not set(sums[0].values()) & set(sums[2].values())


def test_faces_are_written_into_folders_only(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=f"{tmp_path / 'file'}: not a folder"):
        write_faces(tmp_path / "file", size=SIDE)


def test_damage_of_every_length_is_one_line(tmp_path):
    path = tmp_path / "a.png"
    picture(path)
    content = path.read_bytes()
    for length in range(0, len(content) - 40, 7):       # the checksums at its end may be missing
        path.write_bytes(content[:length])
        with pytest.raises(DataError) as info:
            read_grey(path)
        assert str(info.value).startswith(f"{path}: ")
