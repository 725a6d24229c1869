// SPDX-License-Identifier: Apache-2.0
#include <detente/autograd/layer_plan.h>
#include <detente/autograd/layers.h>
#include <detente/autograd/lockstep.h>
#include <detente/tensor/graph_compat.h>

#include <algorithm>
#include <map>
#include <utility>

namespace detente::autograd {
namespace {

class Planner {
 public:
  Planner(const StepTensors& step, const Graph& graph, const std::vector<LayerInput>& inputs)
      : step_(step), graph_(graph), inputs_(inputs) {}

  LayerPlan segments() {
    choose(/*segmented=*/true);
    place();
    return std::move(plan_);
  }

  LayerPlan passes(GhostRule rule) {
    choose(/*segmented=*/false);
    choose_ghosts(rule);
    place();
    return std::move(plan_);
  }

 private:
  void choose(bool segmented) {
    const std::size_t parameters = graph_.handled.size();
    plan_.forms.assign(parameters, Form::kNamed);
    others_.assign(parameters, 0);
    std::vector<bool> able(graph_.handled);
    std::vector<int> embeddings(parameters, 0);
    for (const LayerUse& use : graph_.uses) {
      for (const int p : {use.weight, use.bias}) {
        if (p < 0) continue;
        const auto i = static_cast<std::size_t>(p);
        ++(use.rule->kind == LayerKind::kEmbedding ? embeddings : others_)[i];
        if (segmented && use.inner == 0) able[i] = false;
        // One pass per task: LibTorch's own kernels for these are as good.
        if (!segmented && !readable_by_pass(use)) able[i] = false;
      }
    }
    for (std::size_t t = 0; t < graph_.batch_free.size(); ++t) {
      for (const int p : graph_.batch_free[t].parameters) {
        const auto i = static_cast<std::size_t>(p);
        ++others_[i];
        if (!able[step_.shared.size() + t]) able[i] = false;
      }
    }
    for (std::size_t i = 0; i < step_.shared.size(); ++i) {
      if (!able[i]) continue;
      if (embeddings[i] + others_[i] == 0) {
        // No loss depends on it: nothing is to be asked for.
        const Node* node = edge_of(step_.shared[i]).function.get();
        if (segmented && !graph_.above.contains(node)) plan_.forms[i] = Form::kDirect;
      } else if (others_[i] == 0) {
        plan_.forms[i] = Form::kCompact;
      } else if (embeddings[i] == 0 || segmented) {
        plan_.forms[i] = Form::kDirect;
      }
    }
    for (std::size_t t = 0; t < graph_.batch_free.size(); ++t) {
      const auto& below = graph_.batch_free[t].parameters;
      const bool needed = std::any_of(
          below.begin(), below.end(), [&](int p) { return form_of(p) == Form::kDirect; });
      plan_.forms[step_.shared.size() + t] = needed ? Form::kDirect : Form::kUnneeded;
    }
    std::map<int, std::size_t> layer_of;
    std::map<int, std::size_t> table_of;
    for (std::size_t u = 0; u < graph_.uses.size(); ++u) {
      const LayerUse& use = graph_.uses[u];
      if (use.weight < 0) continue;
      const Form form = plan_.forms[static_cast<std::size_t>(use.weight)];
      if (form == Form::kCompact) {
        const auto [entry, is_new] = table_of.try_emplace(use.weight, plan_.tables.size());
        if (is_new) plan_.tables.push_back({.weight = use.weight});
        plan_.tables[entry->second].uses.push_back(u);
      } else if (!segmented && form == Form::kDirect) {
        const auto [entry, is_new] = layer_of.try_emplace(use.weight, layers_.size());
        if (is_new) layers_.push_back({.weight = use.weight, .bias = use.bias});
        layers_[entry->second].uses.push_back(u);
      }
    }
  }

  void choose_ghosts(GhostRule rule) {
    for (GhostLayer& layer : layers_) {
      const auto w = static_cast<std::size_t>(layer.weight);
      const bool simple = std::all_of(layer.uses.begin(), layer.uses.end(), [&](std::size_t u) {
        const LayerUse& use = graph_.uses[u];
        return has_rows(use, inputs_[u]) && use.bias == layer.bias;
      });
      const bool bias_alone = layer.bias < 0 || (form_of(layer.bias) == Form::kDirect &&
                                                 others_[static_cast<std::size_t>(layer.bias)] ==
                                                     static_cast<int>(layer.uses.size()));
      // Under autocast activations are of a smaller type than the parameters.
      const bool mixed =
          inputs_[layer.uses[0]].input.scalar_type() != step_.shared[w].scalar_type();
      const bool ghost = simple && bias_alone && ghost_pays(layer, rule);
      layer.sketched = simple && bias_alone && !ghost && sketch_pays(layer, rule);
      if (ghost || layer.sketched) {
        form_of(layer.weight) = Form::kGhost;
        if (layer.sketched) {
          layer.bias = -1;  // has a block of its own, formed beside the sketch
        } else if (layer.bias >= 0) {
          form_of(layer.bias) = Form::kGhost;
        }
        plan_.ghosts.push_back(std::move(layer));
      } else if (mixed || kind_of(layer) == LayerKind::kConvolution) {
        // Not worth forming by hand; LibTorch computes it in the pass.
        form_of(layer.weight) = Form::kNamed;
        if (layer.bias >= 0) form_of(layer.bias) = Form::kNamed;
      }
    }
  }

  Form& form_of(int parameter) { return plan_.forms[static_cast<std::size_t>(parameter)]; }
  LayerKind kind_of(const GhostLayer& layer) const { return graph_.uses[layer.uses[0]].rule->kind; }

  // Multiply-adds and memory traffic of both ways for one weight [out, in] and R rows, K tasks.
  bool ghost_pays(const GhostLayer& layer, GhostRule rule) const {
    if (rule != GhostRule::kByCost) return rule == GhostRule::kAlways;
    // What a byte of traffic costs in multiply-adds on one core (docs/engine.md).
    constexpr double kPerByte = 4.0;
    double rows = 0;
    double unfolded = 0;
    for (const std::size_t u : layer.uses) {
      const LayerRule& kind = *graph_.uses[u].rule;
      rows += kind.row_count(inputs_[u]);
      if (kind.kind == LayerKind::kConvolution) unfolded = 1;
    }
    const at::Tensor& weight = step_.shared[static_cast<std::size_t>(layer.weight)];
    const auto k = static_cast<double>(step_.losses.size());
    const auto size = static_cast<double>(weight.numel());
    const auto out = static_cast<double>(weight.size(0));
    const double in = size / out;
    const auto bytes = static_cast<double>(weight.element_size());
    const double direct = k * rows * size + 3 * k * size * bytes * kPerByte;
    const double ghost = rows * rows * in + k * rows * rows * out + k * k / 2 * rows * out +
                         rows * size +
                         (3 * unfolded * rows * in + 3 * k * rows * out) * bytes * kPerByte;
    // Close calls go the way that needs no extra memory.
    return ghost < 0.9 * direct;
  }

  // The projection has to be much narrower than the layer's input.
  bool sketch_pays(const GhostLayer& layer, GhostRule rule) const {
    const at::Tensor& weight = step_.shared[static_cast<std::size_t>(layer.weight)];
    return rule == GhostRule::kByCost && step_.sketch > 0 &&
           weight.numel() >= 2 * step_.sketch * weight.size(0);
  }

  void place() {
    for (std::size_t i = 0; i < plan_.forms.size(); ++i) {
      if (plan_.forms[i] == Form::kNamed) plan_.named.push_back(static_cast<int>(i));
    }
    for (std::size_t u = 0; u < graph_.uses.size(); ++u) {
      const LayerUse& use = graph_.uses[u];
      const auto by_hand = [&](int p) {
        return p >= 0 && form_of(p) != Form::kNamed && form_of(p) != Form::kUnneeded;
      };
      if (by_hand(use.weight) || by_hand(use.bias)) plan_.captured.push_back(u);
    }
  }

  const StepTensors& step_;
  const Graph& graph_;
  const std::vector<LayerInput>& inputs_;
  LayerPlan plan_;
  std::vector<int> others_;         // per parameter: uses that are no embeddings
  std::vector<GhostLayer> layers_;  // that might become ghosts
};

}  // namespace

LayerPlan plan_segments(const StepTensors& step, const Graph& graph) {
  return Planner(step, graph, {}).segments();
}

LayerPlan plan_passes(const StepTensors& step,
                      const Graph& graph,
                      const std::vector<LayerInput>& inputs,
                      GhostRule rule) {
  return Planner(step, graph, inputs).passes(rule);
}

std::vector<PlanPart> parts_of(const LayerPlan& plan, const StepTensors& step, const Graph& graph) {
  constexpr double kCached = 8e6;  // bytes (docs/engine.md has the measurement)
  double bytes = 0;
  for (const std::size_t u : plan.captured) {
    const Edge output = graph.uses[u].output();
    bytes += static_cast<double>(step.shared[0].element_size()) *
             static_cast<double>(numel(tensor::shape_at(*output.function, output.input_nr)));
  }
  std::vector<PlanPart> result(1);
  std::vector<std::size_t> part_of(plan.forms.size(), 0);  // per parameter
  // Side by side, or on a GPU, waiting at borders costs more; what a sketch keeps for the direction
  // leaves the cache anyway.
  const bool sketched = std::any_of(
      plan.ghosts.begin(), plan.ghosts.end(), [](const GhostLayer& g) { return g.sketched; });
  if (!step.side_by_side && !sketched && step.shared[0].is_cpu() && bytes > 2 * kCached) {
    const auto numbers = static_cast<double>(step.layout.size()) * kCached / bytes;
    const std::vector<Stretch> stretches =
        find_stretches(step.losses, step.shared, static_cast<std::int64_t>(numbers));
    result.resize(stretches.size());
    part_of.assign(plan.forms.size(), stretches.size() - 1);
    for (std::size_t s = 0; s < stretches.size(); ++s) {
      result[s].border = stretches[s].border;
      for (const int p : stretches[s].parameters) part_of[static_cast<std::size_t>(p)] = s;
    }
  }
  for (std::size_t c = 0; c < plan.captured.size(); ++c) {
    const LayerUse& use = graph.uses[plan.captured[c]];
    const int p = use.weight >= 0 ? use.weight : use.bias;
    result[part_of[static_cast<std::size_t>(p)]].captured.push_back(c);
  }
  for (std::size_t j = 0; j < plan.named.size(); ++j) {
    result[part_of[static_cast<std::size_t>(plan.named[j])]].named.push_back(j);
  }
  for (std::size_t i = 0; i < plan.forms.size(); ++i) {
    if (plan.has_block(i)) result[part_of[i]].blocks.push_back(static_cast<int>(i));
  }
  return result;
}

}  // namespace detente::autograd
