// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/train/auxiliary_objective.h>
#include <detente/train/ddgsd_objective.h>
#include <detente/train/dino_objective.h>
#include <detente/train/mutual_objective.h>
#include <detente/train/objective.h>

namespace detente::train {
namespace {

class Supervised final : public Objective {
 public:
  const char* kind() const override { return "supervised"; }
  void describe(FieldVisitor& /*train*/) override {}
  std::unique_ptr<LossSource> losses(const LossContext& /*context*/) const override {
    return nullptr;
  }
};

using MakeObjective = std::shared_ptr<Objective> (*)();

template <class T>
std::shared_ptr<Objective> make_one() {
  return std::make_shared<T>();
}

constexpr std::pair<const char*, MakeObjective> kObjectives[] = {
    {"supervised", make_one<Supervised>},
    {"dino", make_one<DinoObjective>},
    {"ddgsd", make_one<DdgsdObjective>},
    {"mutual", make_one<MutualObjective>},
    {"auxiliary", make_one<AuxiliaryObjective>},
};

}  // namespace

void Objective::check(const Recipe& /*recipe*/, const std::string& /*where*/) const {}

std::vector<std::string> objective_names() {
  std::vector<std::string> names;
  for (const auto& [name, make] : kObjectives) names.emplace_back(name);
  return names;
}

std::shared_ptr<Objective> make_objective(const std::string& name) {
  for (const auto& [known, make] : kObjectives) {
    if (name == known) return make();
  }
  const auto names = objective_names();
  fail(ErrorCode::kInvalidArgument,
       "[train::objective] 'train.objective' is '{}'; {}",
       name,
       expected_one_of(name, names));
}

}  // namespace detente::train
