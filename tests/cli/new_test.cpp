// SPDX-License-Identifier: Apache-2.0
// detente new, and the recipes it writes as YAML; that they load and train is tested with LibTorch.
#include <detente/cli/cli.h>
#include <detente/cli/recipe_text.h>
#include <detente/config/tree.h>
#include <detente/core/file.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_images.h>
#include <tests/support/write_sounds.h>

#include <filesystem>
#include <sstream>

namespace detente::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class NewTest : public ::testing::Test {
 protected:
  int call(std::vector<std::string> args) {
    out_.str("");
    err_.str("");
    args.insert(args.begin(), "new");
    return cli::run(args, out_, err_);
  }
  config::Node written(const std::string& name) const {
    return config::load_yaml(folder_.path() / name);
  }
  static std::string text_at(const config::Node& root, const std::string& path) {
    const config::Node* node = config::find_path(root, path);
    return node == nullptr ? "(none)" : node->scalar;
  }

  std::vector<std::string> list_at(const config::Node& root, const std::string& path) const {
    std::vector<std::string> words;
    const config::Node* node = config::find_path(root, path);
    if (node == nullptr) return words;
    for (const config::Node& item : node->items) words.push_back(item.scalar);
    return words;
  }
  void write(const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    folder_.write(name, bytes);
  }

  test::TempDir folder_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(NewTest, NamesThatAreNotPlainSurvive) {
  const std::vector<std::string> names = {
      "no",    "NULL", "~",     "a: b", "- dash",    "it's",      "\"quoted\"",  "열 이름",
      "#hash", "{x}",  "[y]",   "1e3",  "tab\there", "line\nend", "back\\slash", "\x1b[31m",
      "*star", "&and", "!bang", "%per", "@at",       "true"};
  data::RecipeProposal proposal;
  proposal.rows = 10;
  proposal.widths = {8};
  proposal.dev = 0.1;
  for (const std::string& name : names) {
    proposal.ignored.push_back({name, "because of " + name});
    proposal.remarks.push_back({name, name});
    data::ProposedTask task;
    task.name = data::task_name_of(name);
    task.column = name;
    task.class_names = names;
    task.kind = TaskKind::kClasses;
    task.why = name;
    proposal.tasks.push_back(task);
  }
  proposal.categories = names;
  proposal.why_targets = "two\nlines";
  const config::Node root =
      config::parse_yaml(recipe_text(proposal, "~", "../no: data.csv", "csv"), "recipe");
  EXPECT_EQ(text_at(root, "name"), "~");
  EXPECT_EQ(text_at(root, "data.train"), "../no: data.csv");
  const auto list = [&](const std::string& path) {
    std::vector<std::string> words;
    for (const config::Node& item : config::find_path(root, path)->items) {
      EXPECT_EQ(item.kind, config::Node::Kind::kScalar) << path;
      words.push_back(item.scalar);
    }
    return words;
  };
  EXPECT_EQ(list("data.ignore"), names);
  EXPECT_EQ(list("data.categories"), names);
  const auto& tasks = config::find_path(root, "tasks")->items;
  ASSERT_EQ(tasks.size(), names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const config::Node* column = tasks[i].find("column");
    EXPECT_EQ(column == nullptr ? tasks[i].find("name")->scalar : column->scalar, names[i]);
    EXPECT_EQ(tasks[i].find("class_names")->items[3].scalar, "a: b");
  }
}

TEST_F(NewTest, WritesPathsFromTheRecipesFolder) {
  std::filesystem::create_directories(folder_.path() / "data");
  std::filesystem::create_directories(folder_.path() / "recipes/mine");
  folder_.write("data/t.csv", "x,y\n1,2.5\n2,3.5\n3,4.5\n4,1\n");
  std::filesystem::create_symlink("t.csv", folder_.path() / "data/link.csv");
  std::filesystem::create_directory_symlink("recipes/mine", folder_.path() / "short");
  for (const std::string data : {"t.csv", "link.csv"}) {
    ASSERT_EQ(call({"--from",
                    folder_.file("data/" + data),
                    "--out",
                    folder_.file("recipes/mine/r.yaml"),
                    "--force"}),
              0)
        << err_.str();
    EXPECT_EQ(text_at(written("recipes/mine/r.yaml"), "data.train"), "../../data/" + data);
    // A link to a folder is no step on the way.
    ASSERT_EQ(call({"--from",
                    folder_.file("data/" + data),
                    "--out",
                    folder_.file("short/s.yaml"),
                    "--force"}),
              0)
        << err_.str();
    EXPECT_EQ(text_at(written("recipes/mine/s.yaml"), "data.train"), "../../data/" + data);
  }
}

TEST_F(NewTest, OverwritesNothingUnasked) {
  folder_.write("t.csv", "x,y\n1,2.5\n2,3.5\n3,4\n4,1\n");
  folder_.write("r.yaml", "mine\n");
  EXPECT_EQ(call({"--from", folder_.file("t.csv"), "--out", folder_.file("r.yaml")}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("--force"));
  EXPECT_EQ(read_file(folder_.path() / "r.yaml"), "mine\n");
  EXPECT_EQ(call({"--from", folder_.file("t.csv"), "--out", folder_.file("r.yaml"), "--force"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("data check"));
  // Not even then is the data a place for the recipe.
  EXPECT_EQ(call({"--from", folder_.file("t.csv"), "--out", folder_.file("t.csv"), "--force"}), 2);
  EXPECT_THAT(read_file(folder_.path() / "t.csv"), ::testing::StartsWith("x,y"));
}

TEST_F(NewTest, StandardOutputIsTheRecipe) {
  folder_.write("t.csv", "x,y\n1,2.5\n2,3.5\n3,4\n4,1\n");
  ASSERT_EQ(call({"--from", folder_.file("t.csv"), "--out", "-"}), 0) << err_.str();
  const config::Node root = config::parse_yaml(out_.str(), "recipe");
  EXPECT_EQ(text_at(root, "name"), "t");
}

TEST_F(NewTest, ProposesNoComparisonOfMethodsForOneTask) {
  folder_.write("t.csv", "x,y\n1,2.5\n2,3.5\n3,4\n4,1\n");
  ASSERT_EQ(call({"--from", folder_.file("t.csv"), "--out", folder_.file("r.yaml")}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("1 task, 1 input"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("detente compare")));
  EXPECT_THAT(out_.str(), HasSubstr("--targets a,b"));
  EXPECT_EQ(text_at(written("r.yaml"), "balance.method"), "ew");
  folder_.write("t.csv", "x,y,z\n1,2.5,1\n2,3.5,7\n3,4,3\n4,1,4.5\n");
  ASSERT_EQ(call({"--from",
                  folder_.file("t.csv"),
                  "--targets",
                  "y,z",
                  "--out",
                  folder_.file("my recipe's.yaml")}),
            0);
  EXPECT_EQ(text_at(written("my recipe's.yaml"), "balance.method"), "cagrad");
  // As a shell takes it.
  EXPECT_THAT(out_.str(), HasSubstr("my recipe'\\''s.yaml' --methods ew,"));
}

TEST_F(NewTest, TargetsMayHoldCommas) {
  folder_.write("t.csv", "x,\"a,b\",c\n1,2.5,0\n2,3.5,1\n3,4,1\n4,1,0\n");
  ASSERT_EQ(
      call({"--from", folder_.file("t.csv"), "--out", "-", "--targets", "a,b", "--targets", "c"}),
      0)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("name: \"a,b\""));
  ASSERT_EQ(call({"--from", folder_.file("t.csv"), "--out", "-", "--targets", "c,x"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("name: c"));
  EXPECT_EQ(call({"--from", folder_.file("t.csv"), "--out", "-", "--targets", "d"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("'d'"));
}

TEST_F(NewTest, SaysWhatIsWrongWithAFile) {
  const auto refused = [&](const std::string& content, const std::string& name = "t.csv") {
    folder_.write(name, content);
    EXPECT_EQ(call({"--from", folder_.file(name), "--out", folder_.file("r.yaml")}), 3) << content;
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / "r.yaml"));
    EXPECT_THAT(err_.str(), HasSubstr(name));
    return err_.str();
  };
  EXPECT_THAT(refused(""), HasSubstr("empty"));
  EXPECT_THAT(refused("x,y\n"), HasSubstr("no rows"));
  EXPECT_THAT(refused("x,y\n1,2\n"), HasSubstr("at least 2"));
  EXPECT_THAT(refused("y\n1\n2\n3\n"), HasSubstr("one column"));
  EXPECT_THAT(refused("x;y\n1;2\n2;3\n"), HasSubstr("semicolons"));
  EXPECT_THAT(refused("x,y\n1,2\n2\n"), HasSubstr("line 3"));
  EXPECT_THAT(refused("x,y\n1,\"2\n"), HasSubstr("quote"));
  EXPECT_THAT(refused("x,y\n1,2\n", "t.dat"), HasSubstr("extension"));
  EXPECT_EQ(call({"--from", folder_.file("none.csv"), "--out", "-"}), 3);
  EXPECT_EQ(call({"--from", folder_.path().string(), "--out", "-"}), 3);
}

TEST_F(NewTest, FoldersOfImages) {
  const std::vector<std::string> classes = {"no", "- \"b\": c", "열"};
  for (int i = 0; i < 60; ++i) {
    const auto side = static_cast<std::size_t>(20 + i % 3);
    write("pictures/" + classes[static_cast<std::size_t>(i % 3)] + "/" + std::to_string(i) + ".png",
          test::png_file(test::noise(side, 2 * side, 1, i)));
  }
  for (const std::string slash : {"", "/", "/."}) {
    ASSERT_EQ(call({"--from",
                    folder_.file("pictures" + slash),
                    "--out",
                    folder_.file("r.yaml"),
                    "--force"}),
              0)
        << err_.str();
    EXPECT_THAT(out_.str(), HasSubstr("1 task, 60 images"));
    const config::Node root = written("r.yaml");
    EXPECT_EQ(text_at(root, "name"), "pictures");
    EXPECT_EQ(text_at(root, "data.kind"), "images");
    EXPECT_EQ(text_at(root, "data.train"), "pictures");
    EXPECT_EQ(text_at(root, "data.split.test"), "0.15");
    EXPECT_THAT(list_at(root, "data.size"), ::testing::ElementsAre("21", "42"));
    EXPECT_THAT(list_at(root, "model.channels"), ::testing::ElementsAre("16", "32", "64"));
    const config::Node& task = config::find_path(root, "tasks")->items.at(0);
    EXPECT_EQ(task.find("name")->scalar, "label");
    std::vector<std::string> names;
    for (const auto& item : task.find("class_names")->items) names.push_back(item.scalar);
    EXPECT_THAT(names, ::testing::ElementsAre("- \"b\": c", "no", "열"));
  }
}

TEST_F(NewTest, ListsOfRecordings) {
  std::string list = "file,take,target:word,part\n";
  for (int i = 0; i < 20; ++i) {
    const std::string name = "a/" + std::to_string(i) + ".wav";
    write(name,
          test::wav_file(test::pcm16(test::tone(300, static_cast<std::size_t>(800 + 80 * i)))));
    list += name + "," + std::to_string(i) + "," + (i % 2 == 0 ? "yes" : "no") + "," +
            (i < 10   ? "train"
             : i < 15 ? "valid"
                      : "test") +
            "\n";
  }
  write("list.csv", list);
  ASSERT_EQ(call({"--from", folder_.file("list.csv"), "--out", folder_.file("r.yaml")}), 0)
      << err_.str();
  const config::Node root = written("r.yaml");
  EXPECT_EQ(text_at(root, "data.kind"), "audio");
  EXPECT_EQ(text_at(root, "data.audio"), "file");
  EXPECT_EQ(text_at(root, "data.split.column"), "part");
  EXPECT_EQ(text_at(root, "data.frames"), "29") << "19 in 20 of 11 to 30";
  const config::Node& task = config::find_path(root, "tasks")->items.at(0);
  EXPECT_EQ(task.find("name")->scalar, "word");
  ASSERT_EQ(call({"--from", folder_.file("list.csv"), "--out", "-", "--targets", "take"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("name: take"));
}

TEST_F(NewTest, ClipsInFoldersAndLists) {
  const auto write_clip = [&](const std::string& name, int pictures, std::size_t height) {
    for (int i = 0; i < pictures; ++i) {
      write(name + "/" + std::to_string(i) + ".png",
            test::png_file(test::noise(height, 100, 1, static_cast<unsigned>(i + 1))));
    }
  };
  std::string list = "clip,speed\n";
  for (int i = 0; i < 6; ++i) {
    const std::string name = std::string(i % 2 == 0 ? "up" : "down") + "/c" + std::to_string(i);
    write_clip("clips/" + name, i == 0 ? 70 : 40, 50);
    list += name + "," + std::to_string(0.5 * i) + "\n";
  }
  ASSERT_EQ(call({"--from", folder_.file("clips"), "--out", folder_.file("r.yaml")}), 0)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("6 clips"));
  config::Node root = written("r.yaml");
  EXPECT_EQ(text_at(root, "data.kind"), "video");
  EXPECT_EQ(text_at(root, "model.kind"), "convnet3d");
  EXPECT_EQ(text_at(root, "data.frames"), "16");
  EXPECT_EQ(text_at(root, "data.stride"), "2") << "of 40";
  const auto* size = config::find_path(root, "data.size");
  EXPECT_EQ(size->items.at(0).scalar, "32");
  EXPECT_EQ(size->items.at(1).scalar, "64");
  const config::Node& task = config::find_path(root, "tasks")->items.at(0);
  EXPECT_EQ(task.find("head")->scalar, "classes");

  write("clips/list.csv", list);
  ASSERT_EQ(call({"--from", folder_.file("clips/list.csv"), "--out", folder_.file("l.yaml")}), 0)
      << err_.str();
  root = written("l.yaml");
  EXPECT_EQ(text_at(root, "data.video"), "clip");
  EXPECT_EQ(config::find_path(root, "tasks")->items.at(0).find("name")->scalar, "speed");
  write("clips/lost.csv", list + "up/none,3\n");
  EXPECT_EQ(call({"--from", folder_.file("clips/lost.csv"), "--out", "-"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("line 8 of"));
  EXPECT_THAT(err_.str(), HasSubstr("'up/none', which is no clip"));
  write("clips/up/c0/broken.png", "no picture");
  EXPECT_EQ(call({"--from", folder_.file("clips"), "--out", "-"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("broken.png"));
}

TEST_F(NewTest, SaysWhatIsWrongWithAFolder) {
  const auto refused = [&](const std::string& name, const std::vector<std::string>& more = {}) {
    std::vector<std::string> args = {"--from", folder_.file(name), "--out", folder_.file("r.yaml")};
    args.insert(args.end(), more.begin(), more.end());
    EXPECT_EQ(call(args), 3);
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / "r.yaml"));
    return err_.str();
  };
  const std::string png = test::png_file(test::noise(9, 9, 1, 1));
  const std::string wav = test::wav_file(test::pcm16({1, 2, 3}));
  write("none/a/readme.txt", "x");
  EXPECT_THAT(refused("none"), HasSubstr("neither images nor recordings"));
  write("both/a/1.png", png);
  write("both/b/1.wav", wav);
  EXPECT_THAT(refused("both"), HasSubstr("images (1), recordings (1) and clips (0)"));
  EXPECT_THAT(refused("both/a/1.png"), HasSubstr("1.png' is a single image; expected a folder"));
  EXPECT_THAT(refused("both/b/1.wav"), HasSubstr("is a single recording"));
  write("flat/1.png", png);
  EXPECT_THAT(refused("flat"), HasSubstr("no folders"));
  write("one/a/1.png", png);
  EXPECT_THAT(refused("one"), HasSubstr("one folder, 'a'"));
  write("cut/a/1.png", png);
  write("cut/b/2.png", png.substr(0, 40));
  EXPECT_THAT(refused("cut"), HasSubstr("2.png"));
  write("rates/a/1.wav", wav);
  write("rates/b/2.wav", test::wav_file(test::pcm16({1, 2, 3}), {.rate = 16000}));
  EXPECT_THAT(refused("rates"), HasSubstr("16000 samples a second"));
  write("two/a/1.wav", wav);
  write("two/b/2.wav", wav);
  EXPECT_THAT(refused("two", {"--targets", "word"}), HasSubstr("'word' is no column"));
  write("list.csv", "image\none/a/1.png\none/a/1.png\n");
  EXPECT_THAT(refused("list.csv"), HasSubstr("no column but that of the files"));
  EXPECT_EQ(call({"--from", folder_.file("two"), "--out", "-"}), 0) << err_.str();
}

}  // namespace
}  // namespace detente::cli
