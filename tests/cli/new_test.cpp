// SPDX-License-Identifier: Apache-2.0
// detente new, and the recipes it writes as YAML; that they load and train is tested with LibTorch.
#include <detente/cli/cli.h>
#include <detente/cli/recipe_text.h>
#include <detente/config/tree.h>
#include <detente/core/file.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>

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

}  // namespace
}  // namespace detente::cli
