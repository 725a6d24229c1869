// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/image_changes.h>
#include <detente/data/picture_source.h>
#include <detente/nn/ema.h>
#include <detente/train/auxiliary_objective.h>
#include <torch/types.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

namespace detente::train {
namespace {

constexpr std::uint64_t kPlainStream = 0x706c61696e;
constexpr std::uint64_t kSecondStream = 0x6578656d;
constexpr std::uint64_t kCutStream = 0x637574;
constexpr std::uint64_t kTeacherStream = 0x74656163;
constexpr std::uint64_t kRotationStream = 0x726f7461;
constexpr int kTurns = 4;
constexpr const char* kRotation = "rotation";
constexpr const char* kExemplar = "exemplar";
constexpr const char* kAverageOf = "teacher.";

data::ImageShape shape_of(const data::Array& images) {
  return {images.shape[2], images.shape[3], images.shape[1]};
}

// All images of a batch, then all turned by a quarter, by two, by three.
data::Batch turned(const data::Batch& batch) {
  const data::Array& images = batch.front();
  const data::ImageShape shape = shape_of(images);
  const std::span<const float> all = std::get<std::vector<float>>(images.values);
  std::vector<float> values(kTurns * all.size());
  for (int quarters = 0; quarters < kTurns; ++quarters) {
    const auto out = std::span(values).subspan(static_cast<std::size_t>(quarters) * all.size());
    for (std::size_t i = 0; i < all.size(); i += shape.size()) {
      data::turn(all.subspan(i, shape.size()), shape, quarters, out.subspan(i, shape.size()));
    }
  }
  std::vector<std::size_t> sizes = images.shape;
  sizes[0] *= kTurns;
  return {{images.name, std::move(sizes), std::move(values)}};
}

class AuxiliaryLosses final : public LossSource {
 public:
  AuxiliaryLosses(const AuxiliaryRecipe& options, const LossContext& context)
      : options_(options),
        context_(context),
        source_(dynamic_cast<const data::PictureSource&>(*context.corpus.train)) {
    Rng rng = nn::Model::initial_rng(static_cast<std::uint64_t>(context.recipe.seed))
                  .fork(kRotationStream);
    nn::Draw draw(rng);
    if (options_.rotation) {
      head_.add_linear(draw, kRotation, context_.model.trunk().width(), kTurns);
      head_.to(context_.device, context_.dtype);
    }
  }

  std::vector<std::string> tasks() const override {
    std::vector<std::string> names;
    if (options_.rotation) names.emplace_back(kRotation);
    if (options_.exemplar) names.emplace_back(kExemplar);
    return names;
  }

  NamedTensors own_parameters(std::size_t task) const override {
    return options_.rotation && task == 0 ? head_.trained() : NamedTensors{};
  }

  TaskLosses operator()(const data::RowList& rows, const StepDraws& draws) override {
    begin();
    const nn::Trunk& trunk = context_.model.trunk();
    const Rng augment = draws.examples.fork(kPlainStream);
    const data::Batch plain = source_.batch(rows, &augment);
    at::Tensor turns, seen, taught;
    {
      std::optional<tensor::Autocast> autocast;
      if (draws.precision) autocast.emplace(context_.device, *draws.precision);
      // One draw for both passes: the second one's statistics are not taken in.
      if (options_.rotation) {
        Rng once = draws.rng;
        turns = head_.linear(trunk.features(turned(plain), &once), kRotation);
      }
      if (options_.exemplar) {
        Rng once = draws.rng;
        seen = trunk.features(second_view(rows, draws), &once);
        const torch::NoGradGuard no_grad;
        Rng own = draws.rng.fork(kTeacherStream);
        taught = teacher_->features(plain, &own);
      }
    }
    const auto numbers = tensor::tensor_options(context_.device, context_.dtype);
    const auto count = static_cast<double>(rows.size());
    TaskLosses losses;
    if (options_.rotation) {
      const at::Tensor classes =
          torch::arange(kTurns, torch::TensorOptions(torch::kLong).device(turns.device()))
              .repeat_interleave(static_cast<std::int64_t>(rows.size()));
      losses.values.push_back(options_.coefficient *
                              torch::cross_entropy_loss(turns.to(numbers), classes));
      losses.rows.push_back(count);
    }
    if (options_.exemplar) {
      const at::Tensor cosine =
          torch::cosine_similarity(seen.to(numbers), taught.to(numbers), 1).mean();
      losses.values.push_back(options_.coefficient *
                              (options_.above_zero ? 1 - cosine : cosine.neg()));
      losses.rows.push_back(count);
    }
    return losses;
  }

  void after_step(std::int64_t /*step*/) override {
    if (!options_.exemplar) return;
    begin();
    const auto t = static_cast<double>(ema_->updates() + 1);
    ema_->update(std::min(1 - 1 / (t + 1), options_.decay));
    ema_->copy_to(teacher_->parameters().trained());
  }

  NamedTensors state() const override {
    NamedTensors all = head_.trained();
    if (!options_.exemplar) return all;
    begin();
    for (auto& named : nn::with_prefix(ema_->state(), kAverageOf)) {
      all.push_back(std::move(named));
    }
    return all;
  }

  void load_state(const NamedTensors& state) override {
    NamedTensors head = state;
    std::erase_if(head, [](const auto& named) { return named.first.starts_with(kAverageOf); });
    const NamedTensors teacher = nn::without_prefix(state, kAverageOf);
    DETENTE_CHECK(head.empty() != options_.rotation && teacher.empty() != options_.exemplar,
                  ErrorCode::kData,
                  "[train::auxiliary] the snapshot has the state of other tasks than this recipe's "
                  "train.auxiliary; it is of another run.");
    nn::load_named(head, head_.trained());
    if (!options_.exemplar) return;
    begin();
    ema_->load_state(teacher);
    ema_->copy_to(teacher_->parameters().trained());
  }

 private:
  // The student has its first parameters when it is asked for its first loss.
  void begin() const {
    if (teacher_ != nullptr || !options_.exemplar) return;
    teacher_ = context_.model.trunk().clone();
    for (const auto& [name, tensor] : teacher_->parameters().trained()) {
      tensor.set_requires_grad(false);
    }
    ema_.emplace(context_.model.trunk().parameters().trained(), nn::EmaOptions{});
  }

  data::Batch second_view(const data::RowList& rows, const StepDraws& draws) const {
    const Rng augment = draws.examples.fork(kSecondStream);
    data::Batch batch = source_.batch(rows, &augment);
    if (options_.cutout == 0) return batch;
    data::Array& images = batch.front();
    const data::ImageShape shape = shape_of(images);
    const std::span<float> all = std::get<std::vector<float>>(images.values);
    const Rng cuts = draws.examples.fork(kCutStream);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      Rng own = cuts.fork(rows[i]);
      const std::size_t row = own.below(shape.height);
      const std::size_t column = own.below(shape.width);
      data::cut_out(all.subspan(i * shape.size(), shape.size()),
                    shape,
                    row,
                    column,
                    static_cast<std::size_t>(options_.cutout));
    }
    return batch;
  }

  AuxiliaryRecipe options_;
  LossContext context_;
  const data::PictureSource& source_;
  nn::Parameters head_;  // "rotation"; empty without
  // Made by begin(), whoever asks first.
  mutable std::unique_ptr<nn::Trunk> teacher_;
  mutable std::optional<nn::Ema> ema_;
};

}  // namespace

void AuxiliaryObjective::describe(FieldVisitor& train) {
  train.section(
      "auxiliary", "Tasks that images give themselves, without labels.", [this](FieldVisitor& s) {
        s.flag("rotation",
               options_.rotation,
               "The task `rotation`: by how many quarters an image is turned.");
        s.flag("exemplar",
               options_.exemplar,
               "The task `exemplar`: features of a changed image agree with those that the model's "
               "running average has of the image. Its loss is a negative cosine.");
        s.number("coefficient",
                 options_.coefficient,
                 {.min = 0, .max = 1e6, .min_open = true},
                 "Factor on both losses before balancing.");
        s.number("decay",
                 options_.decay,
                 {.min = 0, .max = 1},
                 "What the running average keeps of itself in a step, at most; in step t it is "
                 "1 - 1/(t + 1) where that is less.");
        s.integer("cutout",
                  options_.cutout,
                  {.min = 0, .max = 32768},
                  "Side of the square that is cut out of the changed image, in pixels; 0: none.");
        s.flag(
            "above_zero",
            options_.above_zero,
            "1 - cosine in place of the negative cosine, for methods that refuse losses below 0.");
      });
}

void AuxiliaryObjective::check(const Recipe& recipe, const std::string& where) const {
  DETENTE_CHECK(dynamic_cast<const data::PictureSource*>(recipe.data.source.get()) != nullptr,
                ErrorCode::kInvalidArgument,
                "{}: 'train.objective: auxiliary' turns and changes images; expected data.kind: "
                "images or slides, got {}.",
                where,
                recipe.data.kind);
  DETENTE_CHECK(options_.rotation || options_.exemplar,
                ErrorCode::kInvalidArgument,
                "{}: 'train.auxiliary' has no task; expected rotation or exemplar, or "
                "'train.objective: supervised'.",
                where);
}

std::unique_ptr<LossSource> AuxiliaryObjective::losses(const LossContext& context) const {
  DETENTE_CHECK(!context.model.trunk().per_task() && !context.model.trunk().maps(),
                ErrorCode::kInvalidArgument,
                "[train::auxiliary] model.kind {} has no one vector of features for an image; "
                "expected another.",
                context.model.trunk().kind());
  const auto& source = dynamic_cast<const data::PictureSource&>(*context.corpus.train);
  DETENTE_CHECK(!options_.rotation || source.shape().height == source.shape().width,
                ErrorCode::kInvalidArgument,
                "[train::auxiliary] images of {} x {} pixels turned by a quarter are of another "
                "shape; expected square ones (data.size), or rotation: false.",
                source.shape().height,
                source.shape().width);
  return std::make_unique<AuxiliaryLosses>(options_, context);
}

}  // namespace detente::train
