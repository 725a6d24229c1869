// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <detente/train/recipe.h>
#include <gmock/gmock.h>
#include <tests/train/tiny_run.h>

namespace detente::train {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class RecipeTest : public TinyRunTest {
 protected:
  std::string error_with(const std::vector<std::string>& overrides) {
    const Error error = error_of([&] { recipe(overrides); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
    return error.what();
  }
};

TEST_F(RecipeTest, FillsDefaultsFromTheHead) {
  const Recipe r = recipe();
  EXPECT_EQ(r.name, "tiny");
  EXPECT_EQ(r.tasks[1].loss_name, "bce");
  EXPECT_EQ(r.tasks[1].column, "same");
  EXPECT_THAT(r.tasks[0].metrics, ::testing::Contains("pearson"));
}

TEST_F(RecipeTest, ShownRecipeReadsBackToItself) {
  const std::string text = recipe().to_yaml();
  write_file_atomic(folder_ / "shown.yaml", text);
  EXPECT_EQ(load_recipe(folder_ / "shown.yaml", {}).to_yaml(), text);
}

TEST_F(RecipeTest, EveryMethodCanBeChosenAndItsOptionsSet) {
  for (const auto& name : balance::method_names()) {
    EXPECT_EQ(recipe({"balance.method=" + name}).balance->name(), name);
  }
  EXPECT_THAT(recipe({"balance.method=cagrad", "balance.c=0.7"}).to_yaml(), HasSubstr("c: 0.7"));
}

TEST_F(RecipeTest, ReplacingTheMethodDropsItsOptions) {
  write_recipe("balance: {method: cagrad, c: 0.9}\n");
  EXPECT_EQ(recipe({"balance.method=ew"}).method, "ew");
  EXPECT_THAT(recipe().to_yaml(), HasSubstr("c: 0.9"));
}

TEST_F(RecipeTest, ReplacingTheMethodInsideAWrapperDropsItsOptions) {
  write_recipe("balance: {method: cr_mogm, a: 0.5, inner: {method: cagrad, c: 0.9}}\n");
  const std::string replaced = recipe({"balance.inner.method=pcgrad"}).to_yaml();
  EXPECT_THAT(replaced, HasSubstr("method: pcgrad"));
  EXPECT_THAT(replaced, HasSubstr("a: 0.5"));
  EXPECT_THAT(replaced, Not(HasSubstr("c: 0.9")));
  EXPECT_THAT(recipe({"balance.inner.method=cagrad"}).to_yaml(), HasSubstr("c: 0.9"));
  EXPECT_EQ(recipe({"balance.method=ew"}).method, "ew");
  // The method inside may go unnamed in the file: mgda.
  write_recipe("balance: {method: cr_mogm, inner: {normalizer: l2}}\n");
  EXPECT_THAT(recipe({"balance.inner.method=pcgrad"}).to_yaml(), HasSubstr("method: pcgrad"));
}

TEST_F(RecipeTest, ReplacingALossDropsItsOptions) {
  // The file says {name: correlation, alpha: 0.2}.
  const std::string replaced = recipe({"tasks.score.loss.name=mse"}).to_yaml();
  EXPECT_THAT(replaced, HasSubstr("name: mse"));
  EXPECT_THAT(replaced, Not(HasSubstr("alpha: 0.2")));
  EXPECT_EQ(recipe({"tasks.0.loss.name=huber", "tasks.0.loss.delta=2"}).tasks[0].loss_name,
            "huber");
  EXPECT_THAT(recipe({"tasks.score.loss.name=correlation"}).to_yaml(), HasSubstr("alpha: 0.2"));
  EXPECT_THAT(error_with({"tasks.score.loss.nam=mse"}), HasSubstr("Did you mean 'name'?"));
}

TEST_F(RecipeTest, OldNamesOfKeysStillWorkAndAreTold) {
  EXPECT_TRUE(recipe().notes.empty());
  const Recipe set = recipe({"balance.method=gradvac", "engine.surgery=layers"});
  EXPECT_EQ(set.granularity.groups, GranularityOptions::Groups::kLayers);
  ASSERT_EQ(set.notes.size(), 1U);
  EXPECT_THAT(set.notes[0], HasSubstr("'engine.surgery' is called 'engine.granularity' now"));

  const std::string text = read_file(recipe_path());
  const auto with_engine = [&](const std::string& keys) {
    std::string changed = text;
    changed.replace(changed.find("diagnose_every: 1"), 17, keys);
    write_file_atomic(recipe_path(), changed);
  };
  with_engine("surgery: groups, surgery_groups: [trunk]");
  const Recipe old = recipe();
  EXPECT_EQ(old.notes.size(), 2U);
  EXPECT_THAT(old.granularity.prefixes, ::testing::ElementsAre("trunk"));
  // What is said later counts, under either name.
  EXPECT_THAT(recipe({"engine.groups=[embedding]"}).granularity.prefixes,
              ::testing::ElementsAre("embedding"));
  with_engine("granularity: groups, groups: [trunk]");
  EXPECT_TRUE(recipe().notes.empty());
  EXPECT_THAT(recipe({"engine.surgery_groups=[embedding]"}).granularity.prefixes,
              ::testing::ElementsAre("embedding"));
  with_engine("granularity: layers, surgery: model");
  EXPECT_THAT(error_with({}), HasSubstr("the old name of 'engine.granularity'; leave it out"));

  // A run that was started with the old name goes on.
  std::string before = old.to_yaml();
  before.replace(before.find("granularity:"), 12, "surgery:");
  before.replace(before.find("  groups:"), 9, "  surgery_groups:");
  EXPECT_TRUE(recipe_differences(before, old.to_yaml()).empty());
}

TEST_F(RecipeTest, NamesWhatIsWrong) {
  EXPECT_THAT(error_with({"balance.method=cagrda"}), HasSubstr("Did you mean 'cagrad'?"));
  EXPECT_THAT(error_with({"balance.c=-1"}), HasSubstr("balance.c"));
  EXPECT_THAT(error_with({"train.epoch=3"}), HasSubstr("Did you mean 'epochs'?"));
  EXPECT_THAT(error_with({"train.epochs=0"}), HasSubstr("must be in [1"));
  EXPECT_THAT(error_with({"tasks=[]"}), HasSubstr("there is no task"));
  EXPECT_THAT(error_with({"tasks.same.name=score"}), HasSubstr("two tasks are named 'score'"));
  EXPECT_THAT(error_with({"tasks.same.loss={name: mse}"}), HasSubstr("does not fit a binary head"));
  EXPECT_THAT(error_with({"tasks.same.metrics=[pearson]"}), HasSubstr("pearson"));
  EXPECT_THAT(error_with({"tasks.score.threshold=3"}), HasSubstr("'threshold' is for binary"));
  EXPECT_THAT(error_with({"tasks.same.threshold=high"}), HasSubstr("must be a number"));
  const std::string classes = "tasks.same={name: same, head: classes, ";
  EXPECT_THAT(error_with({classes + "classes: 3, class_names: [a, b]}"}),
              HasSubstr("'tasks[1]' has classes: 3 and 2 class_names"));
  EXPECT_THAT(error_with({classes + "classes: 2, class_names: [a, b, c]}"}),
              HasSubstr("'tasks[1]' has classes: 2 and 3 class_names"));
  EXPECT_EQ(recipe({classes + "classes: 3, class_names: [a, b, c]}"}).tasks[1].head.classes, 3);
  EXPECT_EQ(recipe({classes + "class_names: [a, b, c]}"}).tasks[1].head.classes, 3);
  EXPECT_EQ(recipe({classes + "classes: 3, class_names: []}"}).tasks[1].head.classes, 3);
  EXPECT_THAT(error_with({classes + "class_names: [a, b, a]}"}), HasSubstr("holds 'a' twice"));
  EXPECT_THAT(error_with({classes + "class_names: [a]}"}), HasSubstr("holds one name"));
  EXPECT_THAT(error_with({classes + "class_names: [NULL, a]}"}),
              HasSubstr("'tasks[1].class_names[0]' is nothing"));
  EXPECT_THAT(error_with({"tasks.same.class_names=[a, b]"}),
              HasSubstr("'class_names' is for class, ordinal and segmentation tasks"));
  EXPECT_THAT(error_with({"tasks.sam.weight=2"}), HasSubstr("Did you mean 'same'?"));
  EXPECT_THAT(error_with({"train.select=score.f2"}), HasSubstr("train.select"));
  EXPECT_THAT(error_with({"train.tasks=[sam]"}), HasSubstr("Did you mean 'same'?"));
  EXPECT_THAT(error_with({"model.heads=3"}), HasSubstr("multiple of heads"));
  EXPECT_THAT(error_with({"data.train=null"}), HasSubstr("'data.train' is missing"));
  EXPECT_THAT(error_with({"data.text_a=\"\""}), HasSubstr("'data.text_a' is empty"));
  EXPECT_THAT(error_with({"data.text_b=\"\""}), HasSubstr("'data.text_b' is empty"));
  EXPECT_THAT(error_with({"tasks.score.low=7"}), HasSubstr("low must be below high"));
  EXPECT_THAT(error_with({"model.mode=cross", "model.alignment=both"}), HasSubstr("mode cross"));
}

TEST_F(RecipeTest, SaysWhichWishesForAStepDoNotGoTogether) {
  EXPECT_THAT(error_with({"autocast=bf16", "precision=float64"}), HasSubstr("'autocast' lets"));
  EXPECT_THAT(error_with({"engine.gram_precision=bf16", "precision=float64"}),
              HasSubstr("'engine.gram_precision' lets"));
  EXPECT_THAT(error_with({"engine.granularity=groups"}), HasSubstr("needs 'engine.groups'"));
  EXPECT_THAT(error_with({"engine.groups=[trunk]"}), HasSubstr("engine.granularity: groups"));
  for (const char* method : {"uw", "sdmgrad", "graddrop", "mgda_ub"}) {
    EXPECT_THAT(error_with({"engine.granularity=layers", std::string("balance.method=") + method}),
                HasSubstr("class G or G+L); got '" + std::string(method)));
  }
  for (const char* way : {"mmoe", "cgc", "ple"}) {
    const std::string sharing = std::string("model.sharing=") + way;
    EXPECT_THAT(error_with({sharing, "balance.method=mgda_ub"}), HasSubstr("no one shared"));
    EXPECT_THAT(error_with({sharing, "engine.strategy=features"}), HasSubstr("engine.strategy"));
  }
  EXPECT_NO_THROW(recipe({"model.sharing=cross_stitch", "balance.method=mgda_ub"}));
  EXPECT_THAT(error_with({"engine.granularity=layers", "engine.strategy=features"}),
              HasSubstr("at the shared representation"));
  EXPECT_THAT(error_with({"engine.granularity=layers", "engine.gram_rows=0.5"}),
              HasSubstr("or granularity: model"));
  const std::string parts = "train.micro_batches=2";
  EXPECT_THAT(error_with({parts, "balance.method=sdmgrad"}), HasSubstr("'sdmgrad' (class X)"));
  EXPECT_THAT(error_with({parts, "balance={method: every_n, inner: {method: modo}}"}),
              HasSubstr("'every_n' (class X)"));
  EXPECT_THAT(error_with({parts, "balance.method=mgda_ub"}), HasSubstr("micro_batches: 1"));
  EXPECT_THAT(error_with({parts, "engine.memory=low"}), HasSubstr("Choose one of the two"));
  EXPECT_THAT(error_with({parts, "engine.gram_rows=0.5"}), HasSubstr("gram_rows: 1"));
  EXPECT_THAT(error_with({parts, "engine.gram_precision=bf16"}), HasSubstr("gram_precision: same"));
  EXPECT_THAT(error_with({parts, "train.curvature_every=2"}), HasSubstr("whole batch at once"));
}

TEST_F(RecipeTest, Fp16ScalesLossesUnlessToldOtherwise) {
  using LossScaling = engine::MultiTaskOptions::LossScaling;
  EXPECT_EQ(recipe({"autocast=bf16"}).engine.loss_scaling, LossScaling::kNone);
  const Recipe fp16 = recipe({"autocast=fp16"});
  EXPECT_EQ(fp16.engine.loss_scaling, LossScaling::kDynamic);
  EXPECT_THAT(fp16.to_yaml(), HasSubstr("loss_scaling: dynamic"));
  const Recipe told = recipe({"autocast=fp16", "engine.loss_scaling=none"});
  EXPECT_EQ(told.engine.loss_scaling, LossScaling::kNone);
  EXPECT_THAT(told.to_yaml(), HasSubstr("loss_scaling: none"));
}

TEST_F(RecipeTest, FindsWhatChangedBetweenTwoRecipes) {
  const std::string before = recipe().to_yaml();
  EXPECT_TRUE(recipe_differences(before, before).empty());
  EXPECT_TRUE(
      recipe_differences(before, recipe({"threads=2", "train.epochs=9"}).to_yaml()).empty());
  EXPECT_THAT(recipe_differences(before, recipe({"seed=4"}).to_yaml()),
              ::testing::ElementsAre("seed: 0 -> 4"));
}

TEST_F(RecipeTest, DocumentationOfKeysIsCurrent) {
  EXPECT_EQ(read_file(std::filesystem::path(DETENTE_SOURCE_DIR) / "docs/recipe.md"),
            recipe_markdown())
      << "run: detente recipe docs > docs/recipe.md";
}

TEST_F(RecipeTest, ShippedRecipesAreRight) {
  const std::vector<std::pair<std::string, std::size_t>> recipes = {
      {"adult", 3},
      {"bike", 2},
      {"camvid", 4},
      {"image_audio_digits", 3},
      {"klue_sts", 2},
      {"kor_sts", 2},
      {"papers/cifar10_subset_arml", 1},
      {"papers/cifar_arml", 1},
      {"papers/cityscapes", 2},
      {"papers/nyuv2_mtan", 3},
      {"papers/nyuv2_segnet", 3},
      {"parkinsons", 2},
      {"rf1", 8},
      {"seoul", 2},
      {"slides_tiff", 2},
      {"sts_b", 2},
      {"tox21", 12},
      {"yeast", 14}};
  for (const auto& [name, tasks] : recipes) {
    const Recipe r =
        load_recipe(std::filesystem::path(DETENTE_SOURCE_DIR) / "recipes" / (name + ".yaml"), {});
    EXPECT_EQ(r.name, std::filesystem::path(name).filename());
    EXPECT_EQ(r.tasks.size(), tasks) << name;
  }
}

}  // namespace
}  // namespace detente::train
