// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/file.h>
#include <detente/data/audio_source.h>
#include <detente/data/image_source.h>
#include <detente/data/inspect.h>
#include <detente/data/joined_source.h>
#include <detente/data/picked_rows.h>
#include <detente/data/table_source.h>
#include <gmock/gmock.h>
#include <tests/support/error_of.h>
#include <tests/support/rows_alone.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_images.h>
#include <tests/support/write_npy.h>
#include <tests/support/write_sounds.h>

#include <algorithm>
#include <cmath>

namespace detente::data {
namespace {

using test::error_of;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

template <class T>
const std::vector<T>& numbers_of(const Batch& batch, std::string_view name) {
  return std::get<std::vector<T>>(array_of(batch, name).values);
}

class JoinedSourceTest : public ::testing::Test {
 protected:
  // Pictures p0.png, ... and recordings s0.wav, ...
  void SetUp() override {
    for (int i = 0; i < 6; ++i) {
      write("p" + std::to_string(i) + ".png", test::png_file(test::noise(4, 3, 1, i)));
      const auto tone = test::tone(300 + 100 * i, static_cast<std::size_t>(400 + 80 * i));
      write("s" + std::to_string(i) + ".wav", test::wav_file(test::pcm16(tone)));
    }
    write("list.csv",
          "image,audio,age,y\n"
          "p0.png,s0.wav,1,0\np1.png,,2,1\np2.png,s2.wav,4,2\n"
          ",s3.wav,8,3\np4.png,s4.wav,,4\np5.png,s5.wav,32,5\n");
  }
  std::string write(const std::string& name, const std::string& content) {
    write_file_atomic(folder_.path() / name, content);
    return (folder_.path() / name).string();
  }
  static JoinedSource two_parts() {
    JoinedSource source;
    source.add_part("picture", make_source("images"));
    source.add_part("sound", make_source("audio"));
    return source;
  }
  SourceInput input(const std::string& name = "list.csv", Part part = Part::kTrain) const {
    SourceInput input;
    input.files.train = (folder_.path() / name).string();
    input.files.dev = (folder_.path() / name).string();
    input.part = part;
    input.targets = {{.task = "y", .column = "y"}};
    return input;
  }

  test::TempDir folder_;
};

TEST_F(JoinedSourceTest, BatchesHoldWhatEachPartHasOfTheRows) {
  JoinedSource joined = two_parts();
  joined.read(input(), nullptr);
  ASSERT_EQ(joined.size(), 6U);
  EXPECT_EQ(joined.part(0).size(), 5U);
  EXPECT_EQ(joined.part(1).size(), 5U);
  EXPECT_TRUE(joined.may_lack(0) && joined.may_lack(1));
  EXPECT_FALSE(joined.has(0, 3));
  EXPECT_FALSE(joined.has(1, 1));
  EXPECT_THAT(joined.target("y").values, ElementsAre(0, 1, 2, 3, 4, 5));
  const std::vector<std::size_t> rows = {5, 3, 1};
  const Batch batch = joined.batch(rows, nullptr);
  EXPECT_THAT(numbers_of<std::uint8_t>(batch, "present"), ElementsAre(1, 1, 0, 1, 1, 0));
  // Each part is what its own source makes of the rows that have it.
  write("pictures.csv", "image,y\np0.png,0\np1.png,1\np2.png,2\np4.png,4\np5.png,5\n");
  ImageSource pictures;
  pictures.read(input("pictures.csv"), nullptr);
  EXPECT_EQ(array_of(batch, "picture/image").values,
            array_of(pictures.batch(std::vector<std::size_t>{4, 1}, nullptr), "image").values);
  write("sounds.csv", "audio,y\ns0.wav,0\ns2.wav,2\ns3.wav,3\ns4.wav,4\ns5.wav,5\n");
  AudioSource sounds;
  sounds.read(input("sounds.csv"), nullptr);
  EXPECT_EQ(array_of(batch, "sound/audio").values,
            array_of(sounds.batch(std::vector<std::size_t>{4, 2}, nullptr), "audio").values);
  // Of rows that nobody has the part of there is nothing.
  const Batch one = joined.batch(std::vector<std::size_t>{3}, nullptr);
  EXPECT_EQ(find_array(one, "picture/image"), nullptr);
  EXPECT_THAT(JoinedSource::part_batch("sound", one), SizeIs(1));
}

TEST_F(JoinedSourceTest, OrderOfThePartsIsAllThatPermutingThemChanges) {
  JoinedSource joined = two_parts();
  joined.read(input(), nullptr);
  JoinedSource other;
  other.add_part("sound", make_source("audio"));
  other.add_part("picture", make_source("images"));
  other.read(input(), nullptr);
  const std::vector<std::size_t> rows = {0, 1, 2, 3};
  const Batch a = joined.batch(rows, nullptr);
  const Batch b = other.batch(rows, nullptr);
  for (const char* name : {"picture/image", "sound/audio"}) {
    EXPECT_EQ(array_of(a, name).values, array_of(b, name).values);
  }
  EXPECT_THAT(numbers_of<std::uint8_t>(a, "present"), ElementsAre(1, 1, 1, 0, 1, 1, 0, 1));
  EXPECT_THAT(numbers_of<std::uint8_t>(b, "present"), ElementsAre(1, 1, 0, 1, 1, 1, 1, 0));
}

TEST_F(JoinedSourceTest, ARowOfEachPartChangesAlikeInAnyBatch) {
  const auto with = [](const char* kind, const char* key) {
    auto source = make_source(kind);
    set_field([&](FieldVisitor& v) { source->describe(v); }, key, "2", "test");
    return source;
  };
  JoinedSource joined;
  joined.add_part("picture", with("images", "augment.crop"));
  joined.add_part("sound", with("audio", "augment.shift"));
  joined.read(input(), nullptr);
  test::expect_rows_draw_alone(joined, {5, 0, 2}, Rng(4));

  // Two parts with the same pictures draw different changes of them.
  write("twice.csv", "left,right,y\np0.png,p0.png,0\np1.png,p1.png,1\np2.png,p2.png,2\n");
  JoinedSource twice;
  for (const std::string name : {"left", "right"}) {
    auto side = with("images", "augment.crop");
    set_field([&](FieldVisitor& v) { side->describe(v); }, "image", name, "test");
    twice.add_part(name, std::move(side));
  }
  twice.read(input("twice.csv"), nullptr);
  const std::vector<std::size_t> rows = {0, 1, 2};
  const Rng rng(4);
  const Batch plain = twice.batch(rows, nullptr);
  const Batch changed = twice.batch(rows, &rng);
  EXPECT_EQ(array_of(plain, "left/image").values, array_of(plain, "right/image").values);
  EXPECT_NE(array_of(changed, "left/image").values, array_of(changed, "right/image").values);
}

TEST_F(JoinedSourceTest, ATableTakesNoTargetAndNoOtherPartsColumn) {
  JoinedSource joined = two_parts();
  joined.add_part("numbers", make_source("table"));
  joined.read(input(), nullptr);
  const auto& table = dynamic_cast<const TableSource&>(joined.part(2));
  ASSERT_THAT(table.columns(), SizeIs(1));
  EXPECT_EQ(table.columns()[0].name(), "age");
  EXPECT_FALSE(joined.may_lack(2));
  // A cell that is missing is the table's affair.
  EXPECT_TRUE(joined.has(2, 4));
  std::vector<std::string> inputs;
  for (const InputColumn& column : joined.input_columns()) {
    inputs.push_back(column.name + ":" + column.kind);
  }
  EXPECT_THAT(inputs, ElementsAre("image:file", "audio:file", "age:number"));
  EXPECT_THAT(joined.exchangeable(), ElementsAre("picture", "sound", "numbers"));
  TableSource greedy;
  set_field([&](FieldVisitor& v) { greedy.describe(v); }, "inputs", "[age, y]", "test");
  JoinedSource leaky = two_parts();
  leaky.add_part("numbers", greedy.fresh());
  EXPECT_THAT(error_of([&] { leaky.read(input(), nullptr); }).what(),
              AllOf(HasSubstr("part 'numbers'"), HasSubstr("'y', the target of task 'y'")));
}

TEST_F(JoinedSourceTest, RowsOfFilesOfItsOwn) {
  // By number: an idx file has no columns; images may serve twice.
  std::string pixels;
  for (int i = 0; i < 24; ++i) pixels += static_cast<char>(i);
  const std::string idx = write("all-images-idx3-ubyte", test::idx_file({4, 2, 3}, pixels));
  // By key: in any order, and not for every row.
  const std::string facts = write("facts.csv", "who,height\nbo,180\nann,160\nzoe,170\n");
  write("people.csv", "which,who,y\n3,ann,0\n3,bo,1\n0,cy,2\n,ann,3\n");
  JoinedSource joined;
  joined.add_part("image", make_source("images"), {idx, "", "which"});
  joined.add_part("facts", make_source("table"), {facts, "who", ""});
  joined.read(input("people.csv"), nullptr);
  const std::vector<std::size_t> rows = {0, 1, 2, 3};
  EXPECT_THAT(numbers_of<std::uint8_t>(joined.batch(rows, nullptr), "present"),
              ElementsAre(1, 1, 1, 1, 1, 0, 0, 1));
  const auto& image = dynamic_cast<const ImageSource&>(joined.part(0));
  EXPECT_EQ(image.example(0).values[0], 18);
  EXPECT_EQ(image.example(1).values[0], 18);
  EXPECT_EQ(image.example(2).values[0], 0);
  const auto& table = dynamic_cast<const TableSource&>(joined.part(1));
  ASSERT_THAT(table.columns(), SizeIs(1)) << "the key is no input";
  EXPECT_THAT(table.shown()[1].cells, ElementsAre("160", "180", "160"));
  EXPECT_THAT(joined.named_files(), testing::Contains(facts));
  // As it stands: row by row with the training list, whatever the split.
  JoinedSource aligned;
  aligned.add_part("image", make_source("images"), {idx, "", ""});
  SourceInput in = input("people.csv");
  in.files.dev.clear();
  in.files.split.dev = 0.25;
  aligned.read(in, nullptr);
  const auto chosen = in.files.chosen_rows(Part::kTrain, 4);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    EXPECT_EQ(dynamic_cast<const ImageSource&>(aligned.part(0)).example(i).values[0],
              6 * chosen[i]);
  }
  EXPECT_THAT(aligned.input_columns(), IsEmpty());
  const auto dev = aligned.fresh();
  in.part = Part::kDev;
  dev->read(in, &aligned);
  EXPECT_EQ(dev->size(), 1U);
  // Another list says nothing about its rows.
  SourceInput new_rows;
  new_rows.files = one_file((folder_.path() / "people.csv").string());
  new_rows.part = Part::kDev;
  EXPECT_THAT(error_of([&] { aligned.fresh()->read(new_rows, &aligned); }).what(),
              AllOf(HasSubstr("another list"), HasSubstr("part 'image'")));
}

TEST_F(JoinedSourceTest, ArraysAndClips) {
  const std::string npy =
      write("x.npy",
            test::npy_file("|u1", "(3, 2)", test::raw_bytes<std::uint8_t>({0, 1, 10, 11, 20, 21})));
  std::filesystem::create_directories(folder_.path() / "clip");
  for (int i = 0; i < 3; ++i) {
    write("clip/" + std::to_string(i) + ".png", test::png_file(test::noise(4, 3, 1, i)));
  }
  write("t.csv", "row,video,y\n2,clip,1\n0,,2\n2,clip,3\n");
  JoinedSource joined;
  joined.add_part("features", make_source("arrays"), {npy, "", "row"});
  joined.add_part("clip", make_source("video"));
  joined.read(input("t.csv"), nullptr);
  EXPECT_EQ(joined.part(0).size(), 3U);
  EXPECT_EQ(joined.part(1).size(), 2U);
  const Batch batch = joined.batch(std::vector<std::size_t>{0, 1, 2}, nullptr);
  const Batch own = JoinedSource::part_batch("features", batch);
  ASSERT_THAT(own, SizeIs(1));
  const auto& values = std::get<std::vector<float>>(own[0].values);
  ASSERT_THAT(values, SizeIs(6));
  EXPECT_EQ(values[0], values[4]);
  EXPECT_LT(values[2], values[0]);
  JoinedSource nowhere;
  nowhere.add_part("features", make_source("arrays"));
  EXPECT_THAT(error_of([&] { nowhere.check_options(); }).what(),
              AllOf(HasSubstr("'file'"), HasSubstr("'features'")));
}

TEST_F(JoinedSourceTest, FilesThatDoNotFitTheListAreErrors) {
  const std::string idx =
      write("all-images-idx3-ubyte", test::idx_file({3, 1, 1}, std::string("\1\2\3", 3)));
  const std::string facts = write("facts.csv", "who,height\nbo,180\nann,160\nbo,170\n");
  const auto complaint = [&](const std::string& list, const char* kind, const PartPlace& place) {
    write("people.csv", list);
    JoinedSource joined;
    joined.add_part("the part", make_source(kind), place);
    return std::string(error_of([&] { joined.read(input("people.csv"), nullptr); }).what());
  };
  EXPECT_THAT(complaint("y\n1\n2\n", "images", {idx, "", ""}),
              AllOf(HasSubstr("has 3 rows, and the list beside it 2"), HasSubstr("'the part'")));
  EXPECT_THAT(complaint("y\n1\n2\n", "table", {facts, "", ""}),
              AllOf(HasSubstr("has 3 rows"), HasSubstr("people.csv' 2")));
  EXPECT_THAT(complaint("y,i\n1,3\n", "images", {idx, "", "i"}),
              AllOf(HasSubstr("row 3"), HasSubstr("has 3"), HasSubstr("'the part'")));
  for (const char* cell : {"-1", "1.5", "one", "18446744073709551615"}) {
    EXPECT_THAT(complaint(std::string("y,i\n1,0\n2,") + cell + "\n", "images", {idx, "", "i"}),
                AllOf(HasSubstr(cell), HasSubstr("line 3"), HasSubstr("column 'i'")));
  }
  EXPECT_THAT(complaint("y,i\n1,3\n", "table", {facts, "", "i"}), HasSubstr("from 0 to 2"));
  EXPECT_THAT(
      complaint("y,who\n1,ann\n2,bo\n", "table", {facts, "who", ""}),
      AllOf(HasSubstr("'bo'"), HasSubstr("twice"), HasSubstr("line 4"), HasSubstr("line 3")));
  EXPECT_THAT(complaint("y,who\n1,cy\n", "table", {facts, "who", ""}),
              HasSubstr("no training row"));
  EXPECT_THAT(complaint("y,whom\n1,cy\n", "table", {facts, "who", ""}), HasSubstr("who"));
  EXPECT_THAT(complaint("y,who\n1,ann\n", "images", {idx, "who", ""}), HasSubstr("no table"));
  EXPECT_THAT(complaint("y,who\n1,ann\n", "table", {facts, "who", "who"}),
              HasSubstr("one of them"));
  EXPECT_THAT(complaint("y,who\n1,ann\n", "table", {"", "who", ""}), HasSubstr("'file'"));
  EXPECT_THAT(complaint("y,who\n1,ann\n", "table", {facts + ".nowhere.csv", "who", ""}),
              AllOf(HasSubstr("nowhere"), HasSubstr("'the part'")));
}

TEST_F(JoinedSourceTest, ExamplesWithoutAnyPartAndBadFilesNameTheirLine) {
  JoinedSource joined = two_parts();
  write("bad.csv", "image,audio,y\np0.png,s0.wav,1\n NA , ,2\n");
  EXPECT_THAT(error_of([&] { joined.read(input("bad.csv"), nullptr); }).what(),
              AllOf(HasSubstr("line 3"), HasSubstr("none of the parts (picture, sound)")));
  write("bad.csv", "image,audio,y\np0.png,s0.wav,1\np1.png,gone.wav,2\n");
  EXPECT_THAT(error_of([&] { joined.fresh()->read(input("bad.csv"), nullptr); }).what(),
              AllOf(HasSubstr("gone.wav"), HasSubstr("line 3"), HasSubstr("part 'sound'")));
  write("bad.csv", "image,y\np0.png,1\np1.png,2\n");
  EXPECT_THAT(error_of([&] { joined.fresh()->read(input("bad.csv"), nullptr); }).what(),
              AllOf(HasSubstr("audio"), HasSubstr("part 'sound'")));
  JoinedSource nothing;
  EXPECT_THAT(error_of([&] { nothing.check_options(); }).what(),
              HasSubstr("'data.parts' is empty"));
  JoinedSource twice = two_parts();
  twice.add_part("sound", make_source("table"));
  EXPECT_THAT(error_of([&] { twice.check_options(); }).what(), HasSubstr("called 'sound'"));
}

TEST_F(JoinedSourceTest, APartThatTrainingNeverLackedIsAWarning) {
  write("full.csv", "image,audio,y\np0.png,s0.wav,1\np1.png,s1.wav,2\np2.png,s2.wav,3\n");
  JoinedSource train = two_parts();
  train.read(input("full.csv"), nullptr);
  EXPECT_FALSE(train.may_lack(0) || train.may_lack(1));
  EXPECT_THAT(train.warnings(), IsEmpty());
  write("new.csv", "image,audio,y\n,s0.wav,1\n,s1.wav,2\n");
  const auto rows = train.fresh();
  rows->read(input("new.csv", Part::kDev), &train);
  ASSERT_THAT(rows->warnings(), SizeIs(1));
  EXPECT_THAT(rows->warnings()[0], AllOf(HasSubstr("'picture'"), HasSubstr("2 of 2 rows")));
  EXPECT_THAT(
      numbers_of<std::uint8_t>(rows->batch(std::vector<std::size_t>{0, 1}, nullptr), "present"),
      ElementsAre(0, 1, 0, 1));
}

TEST_F(JoinedSourceTest, ReloadedItEncodesTheSame) {
  JoinedSource train = two_parts();
  train.add_part("null: \"yes\" {", make_source("table"));
  train.read(input(), nullptr);
  train.save(folder_.path());
  const auto loaded = train.fresh();
  loaded->load(folder_.path());
  const auto a = train.fresh();
  const auto b = train.fresh();
  a->read(input("list.csv", Part::kDev), &train);
  b->read(input("list.csv", Part::kDev), loaded.get());
  EXPECT_EQ(a->digest(), b->digest());
  EXPECT_TRUE(dynamic_cast<const JoinedSource&>(*loaded).may_lack(1));
  EXPECT_FALSE(dynamic_cast<const JoinedSource&>(*loaded).may_lack(2));
  EXPECT_NE(a->digest(), [&] {
    write("other.csv", "image,audio,age,y\np0.png,,1,0\np1.png,,2,1\n");
    const auto c = train.fresh();
    c->read(input("other.csv", Part::kDev), &train);
    return c->digest();
  }());
  // Another list of parts, and files that are almost right.
  EXPECT_THAT(error_of([&] { two_parts().load(folder_.path()); }).what(), HasSubstr("joined.json"));
  const std::string whole = read_file(folder_.path() / "joined.json");
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{\"format\": 1}"), whole.substr(0, 400)}) {
    write("joined.json", text);
    EXPECT_EQ(error_of([&] { train.fresh()->load(folder_.path()); }).code(), ErrorCode::kData);
  }
  std::string outside = whole;
  outside.replace(outside.find("\"images.json"), 1, "\"../");
  write("joined.json", outside);
  EXPECT_THAT(error_of([&] { train.fresh()->load(folder_.path()); }).what(),
              AllOf(HasSubstr("../images.json"), HasSubstr("'picture'")));
  EXPECT_FALSE(std::filesystem::exists(folder_.path().parent_path() / "images.json"));
}

TEST_F(JoinedSourceTest, PartsAreExchangedAndSwitchedOffWhole) {
  JoinedSource joined = two_parts();
  joined.read(input(), nullptr);
  PickedRows rows(joined, {0, 1, 2});
  rows.exchange(1, {2, 0, 1});
  const Batch batch = rows.batch(std::vector<std::size_t>{0, 1, 2}, nullptr);
  // The sounds of rows 2, 0 and of row 1, which has none; the pictures stay.
  EXPECT_THAT(numbers_of<std::uint8_t>(batch, "present"), ElementsAre(1, 1, 1, 1, 1, 0));
  const Batch sounds = joined.batch(std::vector<std::size_t>{2, 0}, nullptr);
  EXPECT_EQ(array_of(batch, "sound/audio").values, array_of(sounds, "sound/audio").values);
  const Batch before = joined.batch(std::vector<std::size_t>{0, 1, 2}, nullptr);
  EXPECT_EQ(array_of(batch, "picture/image").values, array_of(before, "picture/image").values);
  Batch off = before;
  joined.switch_off(0, off);
  EXPECT_THAT(numbers_of<std::uint8_t>(off, "present"), ElementsAre(0, 1, 0, 0, 0, 1));
  EXPECT_EQ(find_array(off, "picture/image"), nullptr);
  EXPECT_EQ(array_of(off, "sound/audio").values, array_of(before, "sound/audio").values);
}

TEST_F(JoinedSourceTest, DataCheckLooksAtTheList) {
  JoinedSource joined = two_parts();
  joined.add_part("numbers", make_source("table"));
  SourceFiles files = input().files;
  const DataFindings found = inspect_data(joined, files, {{.task = "y", .column = "y"}});
  EXPECT_EQ(found.kind, "joined");
  ASSERT_THAT(found.inputs, SizeIs(3));
  EXPECT_EQ(found.inputs[0].kind, "file");
  EXPECT_EQ(found.inputs[0].missing, 1U);
  EXPECT_EQ(found.inputs[0].distinct, 5U);
  EXPECT_THAT(found.notes,
              testing::Contains(HasSubstr("Part 'sound' is missing for 1 of 6 rows.")));
}

TEST_F(JoinedSourceTest, NamesMayBeWhateverHasNoSlash) {
  JoinedSource joined;
  joined.add_part("a", make_source("images"));
  joined.add_part("a. 그림 \"1\"", make_source("audio"));
  joined.read(input(), nullptr);
  Batch batch = joined.batch(std::vector<std::size_t>{0}, nullptr);
  joined.switch_off(0, batch);
  EXPECT_THAT(JoinedSource::part_batch("a", batch), IsEmpty());
  EXPECT_NE(find_array(JoinedSource::part_batch("a. 그림 \"1\"", batch), "audio"), nullptr);
  joined.add_part("a/b", make_source("audio"));
  EXPECT_THAT(error_of([&] { joined.check_options(); }).what(), HasSubstr("'a/b'"));
}

}  // namespace
}  // namespace detente::data
