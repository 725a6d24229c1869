// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <detente/appraise/row_losses.h>
#include <detente/core/error.h>
#include <detente/train/corpus.h>

#include <cmath>
#include <cstdint>

namespace detente::appraise {

std::vector<std::vector<double>> row_losses(const train::HeadLosses& losses,
                                            const nn::Model& model,
                                            const data::Source& source,
                                            const data::RowList& rows) {
  const at::NoGradGuard no_grad;
  if (rows.empty()) return {};
  const TensorList predictions = model.forward(source.batch(rows, nullptr));
  const TensorList labels = train::make_targets(source, rows);
  std::vector<std::vector<double>> found;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(rows.size()); ++i) {
    const auto own = [i](const TensorList& all) {
      TensorList one;
      for (const at::Tensor& tensor : all) one.push_back(tensor.narrow(0, i, 1));
      return one;
    };
    train::TaskLosses row;
    losses.add(own(labels), own(predictions), row);
    found.resize(row.values.size());
    for (std::size_t k = 0; k < found.size(); ++k) {
      const at::Tensor& loss = row.values[k];
      const double value = loss.defined() ? loss.item<double>() : std::nan("");
      DETENTE_CHECK(
          !loss.defined() || std::isfinite(value),
          ErrorCode::kNumeric,
          "[appraise] the loss of task '{}' on row {} is {}; the model has diverged, or a number "
          "is too large for it.",
          model.heads().tasks()[k].name,
          rows[static_cast<std::size_t>(i)],
          value);
      found[k].push_back(value);
    }
  }
  return found;
}

}  // namespace detente::appraise
