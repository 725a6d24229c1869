// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/data/picture_source.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

namespace detente::data {

Image PictureSource::example(std::size_t row) const {
  DETENTE_DCHECK(row < size());
  Image image{shape(), {}};
  image.values.resize(image.shape.size());
  write_example(row, image.values.data());
  return image;
}

Batch PictureSource::batch(std::span<const std::size_t> rows, const Rng* augment) const {
  static const Augmentation unchanged;
  return changed_batch(rows,
                       augment != nullptr ? augmentation_ : unchanged,
                       [augment](std::size_t row) { return augment->fork(row); });
}

Batch PictureSource::changed_batch(std::span<const std::size_t> rows,
                                   const Augmentation& changes,
                                   const std::function<Rng(std::size_t row)>& chance) const {
  const ImageShape whole = shape();
  const std::size_t plane = whole.pixels();
  const bool changed = changes.any();
  const std::vector<double> no_colour(whole.channels, 0.0);  // the mean of whitened examples
  std::vector<std::array<float, 256>> standards(whole.channels);
  for (std::size_t c = 0; c < whole.channels; ++c) {
    for (std::size_t v = 0; v < 256; ++v) standards[c][v] = standard(static_cast<double>(v), c);
  }
  expect(rows);
  std::vector<float> values(rows.size() * whole.size());
  std::vector<std::uint8_t> example(whole.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::span<float> image(values.data() + i * whole.size(), whole.size());
    if (whitened()) {
      const auto from = whitened_example(rows[i]);
      std::copy(from.begin(), from.end(), image.begin());
      if (!changed) continue;
      Rng own = chance(rows[i]);
      changes.apply(image, whole, no_colour, own);
      changes.add_noise(image, own);
      continue;
    }
    write_example(rows[i], example.data());
    for (std::size_t c = 0; c < whole.channels; ++c) {
      for (std::size_t p = 0; p < plane; ++p) {
        const std::uint8_t value = example[p * whole.channels + c];
        image[c * plane + p] = changed ? static_cast<float>(value) : standards[c][value];
      }
    }
    if (!changed) continue;
    Rng own = chance(rows[i]);
    changes.apply(image, whole, fit_.means, own);
    for (std::size_t j = 0; j < image.size(); ++j) image[j] = standard(image[j], j / plane);
    changes.add_noise(image, own);
  }
  Batch batch;
  batch.push_back(
      {"image", {rows.size(), whole.channels, whole.height, whole.width}, std::move(values)});
  return batch;
}

std::vector<std::string> PictureSource::class_names(std::string_view column) const {
  return is_label(column) ? fit_.classes.names() : std::vector<std::string>();
}

void PictureSource::read_targets(const Table& table, const std::vector<TargetColumn>& targets) {
  for (TargetColumn target : targets) {
    name_classes(target, fit_.classes);
    targets_.push_back(read_target(table, target, table.rows(), warnings_));
  }
}

void PictureSource::fit_scale(std::span<const std::size_t> rows, const std::string& source) {
  ImageFit::Counts counts(shape().channels);
  std::vector<std::uint8_t> values(shape().size());
  for (const std::size_t row : rows) {
    write_example(row, values.data());
    ImageFit::count(values, counts);
  }
  fit_.scale(counts, [&](std::size_t channel, double value) {
    warnings_.push_back(fmt::format(
        "Channel {} (from 0) of every image of '{}' is {} everywhere; there is nothing to see.",
        channel,
        source,
        number_text(value)));
  });
}

}  // namespace detente::data
