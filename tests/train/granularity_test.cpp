// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <detente/config/tree.h>
#include <detente/core/error.h>
#include <detente/train/granularity.h>
#include <detente/train/method_list.h>
#include <gmock/gmock.h>

namespace detente::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<std::string> kParameters = {"embedding.weight",
                                              "layers.0.norm.gain",
                                              "layers.0.attention.qkv.weight",
                                              "layers.1.norm.gain",
                                              "layers.10.norm.gain",
                                              "trunk.weight"};

LayerGroups named(std::vector<std::string> prefixes) {
  return parameter_groups({GranularityOptions::Groups::kNamed, std::move(prefixes)}, kParameters);
}

std::string refusal(std::vector<std::string> prefixes) {
  try {
    named(std::move(prefixes));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "";
}

TEST(ParameterGroups, TakeTheLongestPrefixOfWholeWordsAndTheRest) {
  const LayerGroups groups = named({"layers", "layers.1", "layers.0.attention"});
  EXPECT_THAT(groups.names, ElementsAre("layers", "layers.1", "layers.0.attention", "rest"));
  EXPECT_THAT(groups.group_of, ElementsAre(3, 0, 2, 1, 0, 3));
}

TEST(ParameterGroups, HaveNoRestWhenEverythingIsNamed) {
  EXPECT_THAT(named({"trunk.weight", "layers", "embedding"}).names,
              ElementsAre("trunk.weight", "layers", "embedding"));
}

TEST(ParameterGroups, AreTheLayersUnlessNamed) {
  for (const auto kind :
       {GranularityOptions::Groups::kModel, GranularityOptions::Groups::kLayers}) {
    const LayerGroups groups = parameter_groups({kind, {}}, kParameters);
    EXPECT_EQ(groups.names, layer_groups(kParameters).names);
    EXPECT_EQ(groups.group_of, layer_groups(kParameters).group_of);
  }
}

TEST(ParameterGroups, RefusePrefixesWithoutParameters) {
  EXPECT_THAT(refusal({"embedding", "layer.0"}), HasSubstr("'layer.0'"));
  EXPECT_THAT(refusal({"layer.0"}), HasSubstr("the nearest names: layers.0, layers,"));
  EXPECT_THAT(refusal({"embed"}), HasSubstr("no shared parameter is named 'embed'"));
  EXPECT_THAT(refusal({"trunk", "trunk"}), HasSubstr("other entries take all"));
  EXPECT_THAT(refusal({"trunk", "trunk.weight"}), HasSubstr("parameters of 'trunk'"));
}

std::string options_of(balance::Method& method) {
  return config::to_yaml([&](FieldVisitor& visitor) { method.describe(visitor); });
}

TEST(MethodsLike, HaveTheOptionsAndNoStateInCommon) {
  const auto method = balance::make_method("every_n");
  const Describe describe = [&](FieldVisitor& visitor) { method->describe(visitor); };
  config::read_fields(config::parse_yaml("{n: 7, inner: {method: cagrad, c: 0.9}}", "test"),
                      describe);
  const MethodList copies = methods_like(*method, 3);
  ASSERT_EQ(copies.size(), 3U);
  for (const auto& copy : copies) EXPECT_EQ(options_of(*copy), options_of(*method));
  const Json before = copies[1]->state();
  const std::vector<double> gram = {1, 0, 0, 4};
  balance::Result result;
  copies[0]->solve({.tasks = 2, .gram = {gram.data(), 2, 2}}, result);
  EXPECT_NE(copies[0]->state(), before);
  EXPECT_EQ(copies[1]->state(), before);
}

TEST(MethodsState, GoesBackToTheMethodItCameFrom) {
  const auto pattern = balance::make_method("moco");  // keeps both numbers and arrays
  for (const std::size_t n : {1U, 3U}) {
    const MethodList methods = methods_like(*pattern, n);
    for (std::size_t i = 0; i < n; ++i) {
      const auto x = static_cast<double>(i + 1);
      const std::vector<double> rows = {x, 0, 2, -1, x, x};
      const std::vector<double> losses = {1, x};
      std::vector<double> d(3);
      balance::Result result;
      methods[i]->direct({.tasks = 2, .losses = losses}, {rows.data(), 2, 3, 3}, d, result);
    }
    const MethodList others = methods_like(*pattern, n);
    load_methods_state(others, methods_state(methods));
    load_methods_arrays(others, methods_arrays(methods));
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_EQ(others[i]->state(), methods[i]->state());
      const auto got = others[i]->state_arrays();
      const auto wanted = methods[i]->state_arrays();
      ASSERT_FALSE(wanted.empty());
      ASSERT_EQ(got.size(), wanted.size());
      for (std::size_t j = 0; j < wanted.size(); ++j) {
        EXPECT_EQ(got[j].name, wanted[j].name);
        EXPECT_EQ(got[j].values, wanted[j].values);
      }
    }
    if (n > 1) {
      EXPECT_NE(methods_arrays(methods)[0].values, methods_arrays({methods[1]})[0].values);
      EXPECT_THROW(load_methods_state(others, Json::array({1})), Error);
    }
  }
}

}  // namespace
}  // namespace detente::train
