// SPDX-License-Identifier: Apache-2.0
// The losses of a recipe's tasks on the labels of the training rows, and of its tasks of the kind distill on
// a teacher's answers: one pass of the model has both.
#pragma once

#include <detente/data/source.h>
#include <detente/nn/model.h>
#include <detente/tensor/device.h>
#include <detente/train/head_losses.h>
#include <detente/train/loss_context.h>
#include <detente/train/loss_source.h>
#include <detente/train/recipe.h>
#include <detente/train/teacher.h>

#include <memory>
#include <vector>

namespace detente::train {

// What it is made from must outlive it.
class LabelLosses final : public LossSource {
 public:
  // Throws as make_teacher does.
  explicit LabelLosses(const LossContext& context);

  // Those with labels first.
  std::vector<std::string> tasks() const override;
  // Of its head; of features to be met also the projection. A head that learns from a teacher, too,
  // is shared.
  NamedTensors own_parameters(std::size_t task) const override;
  NamedTensors shared_parameters() const override;
  // After the tasks' factors (tasks.weight); the losses are computed in the parameters' type,
  // whatever the model computes in.
  TaskLosses operator()(const data::RowList& rows, const StepDraws& draws) override;
  void after_step(std::int64_t step) override;
  // A lesson that no row of a whole epoch took part in.
  std::vector<std::string> messages() override;
  NamedTensors state() const override;
  void load_state(const NamedTensors& state) override;

 private:
  // A task of the kind distill.
  struct Lesson {
    const TaskRecipe* task = nullptr;
    std::size_t head = 0;
    std::unique_ptr<Teacher> teacher;
    nn::Parameters projection;  // of features: "weight" [F of the teacher, F], "bias"
    double rows = 0;            // that have counted since the process began
    bool told = false;
  };

  bool is_taught(std::size_t head) const;
  at::Tensor lesson_loss(Lesson& lesson,
                         const TeacherAnswers& taught,
                         const at::Tensor& prediction,
                         const at::Tensor& features,
                         const at::Tensor& target,
                         double* rows) const;

  const Recipe& recipe_;
  const data::Source& data_;
  const nn::Model& model_;
  tensor::Device device_;
  tensor::DType dtype_;
  HeadLosses heads_;
  std::vector<Lesson> lessons_;
  std::int64_t steps_per_epoch_;
  std::int64_t steps_ = 0;  // of this process
};

}  // namespace detente::train
