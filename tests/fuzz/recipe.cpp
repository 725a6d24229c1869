// SPDX-License-Identifier: Apache-2.0
// Recipes and overrides: YAML up to a byte 1, then --set assignments between bytes 1.
#include <detente/config/tree.h>

#include <optional>
#include <vector>

#include "fuzz.h"

using namespace detente;

namespace {

struct Layer {
  std::int64_t depth = 3;
  std::string name;

  void describe(FieldVisitor& visitor) {
    visitor.integer("depth", depth, {.min = 1, .max = 9}, "How deep.");
    visitor.text("name", name, "Its name.");
  }
};

struct Fields {
  enum class Mode { kFast, kExact };
  double rate = 0.5;
  bool loud = false;
  std::string title = "x";
  Mode mode = Mode::kFast;
  std::vector<double> grid = {1, 2.5};
  std::vector<std::string> words;
  Layer inner;
  std::vector<Layer> layers;

  void describe(FieldVisitor& visitor) {
    visitor.number("rate", rate, {.min = 0}, "A rate.");
    visitor.flag("loud", loud, "Noise.");
    visitor.text("title", title, "A title.");
    visitor.choice("mode", mode, {{"fast", Mode::kFast}, {"exact", Mode::kExact}}, "How.");
    visitor.numbers("grid", grid, {.min = 0}, "Points.");
    visitor.texts("words", words, {}, "Words.");
    visitor.section("inner", "", [this](FieldVisitor& s) { inner.describe(s); });
    visitor.sections(
        "layers",
        layers.size(),
        [this](std::size_t n) { layers.resize(n); },
        [this](std::size_t i, FieldVisitor& s) { layers[i].describe(s); },
        "Layers.");
  }
};

std::string yaml_of(const config::Node& root) {
  Fields fields;
  config::read_fields(root, [&](FieldVisitor& visitor) { fields.describe(visitor); });
  return config::to_yaml([&](FieldVisitor& visitor) { fields.describe(visitor); });
}

}  // namespace

FUZZ(data, size) {
  std::string_view rest = fuzz::text_of(data, size);
  const std::string yaml(fuzz::take_until(rest, '\x01'));
  fuzz::survive([&] {
    config::Node root = config::parse_yaml(yaml, "recipe");
    while (!rest.empty()) config::apply_override(root, std::string(fuzz::take_until(rest, '\x01')));
    config::flatten(root);
    const std::string written = yaml_of(root);
    // What was accepted once is accepted again, and means the same.
    std::optional<std::string> again;
    try {
      again = yaml_of(config::parse_yaml(written, "written"));
    } catch (const Error& error) {
      fuzz::broken("written recipes read back: " + std::string(error.what()) + "\n" + written);
    }
    fuzz::expect(*again == written, "written recipes read back to themselves");
  });
}
