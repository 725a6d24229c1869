// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/image_fit.h>
#include <detente/data/parallel_rows.h>
#include <detente/data/views.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace detente::data {
namespace {

constexpr int kPartTries = 10;
constexpr double kWidestPart = 4.0 / 3.0;  // width to height; the narrowest is 1 / that
constexpr double kSmallestBlur = 0.1;
constexpr double kLargestBlur = 2.0;

constexpr double kFirstGlobalBlur = 1.0;
constexpr double kOtherGlobalBlur = 0.1;
constexpr double kOtherGlobalSolarise = 0.2;
constexpr double kLocalBlur = 0.5;

bool happens(double probability, Rng& rng) { return rng.uniform() < probability; }

float factor_within(double amount, Rng& rng) {
  return static_cast<float>(rng.uniform(std::max(0.0, 1.0 - amount), 1.0 + amount));
}

void jitter_colours(std::span<float> view,
                    const ImageShape& shape,
                    const ViewOptions& options,
                    Rng& rng) {
  const bool colours = shape.channels == 3;
  std::array<int, 4> order = {0, 1, 2, 3};
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  for (const int change : order) {
    if (change == 0 && options.brightness > 0) {
      change_brightness(view, factor_within(options.brightness, rng));
    } else if (change == 1 && options.contrast > 0) {
      change_contrast(view, shape, factor_within(options.contrast, rng));
    } else if (change == 2 && options.saturation > 0 && colours) {
      change_saturation(view, shape, factor_within(options.saturation, rng));
    } else if (change == 3 && options.hue > 0 && colours) {
      change_hue(view, shape, static_cast<float>(rng.uniform(-options.hue, options.hue)));
    }
  }
}

// The row's planes in 0..255.
std::vector<float> planes_of(const PictureSource& source, std::size_t row) {
  const Image image = source.example(row);
  const std::size_t channels = image.shape.channels;
  const std::size_t pixels = image.shape.pixels();
  std::vector<float> planes(image.values.size());
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t i = 0; i < pixels; ++i) {
      planes[c * pixels + i] = static_cast<float>(image.values[i * channels + c]);
    }
  }
  return planes;
}

void standardise(const PictureSource& source, std::span<float> image) {
  const std::size_t pixels = image.size() / source.means().size();
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = source.standard(image[i], i / pixels);
}

Rng chance_of(const Rng& stream, std::size_t row, std::uint64_t view) {
  return stream.fork(row).fork(view);
}

// Of views that `options` draws of images of `shape`.
ImageShape shape_of(const ImageShape& shape, const ViewOptions& options) {
  DETENTE_CHECK(options.size >= 1 && static_cast<double>(options.size) <= kLongestSide,
                ErrorCode::kInvalidArgument,
                "[data::draw_view] size must be in [1, {}]; got {}.",
                kLongestSide,
                options.size);
  const auto side = static_cast<std::size_t>(options.size);
  return {side, side, shape.channels};
}

}  // namespace

ImagePart draw_part(const ImageShape& shape, const ViewOptions& options, Rng& rng) {
  DETENTE_CHECK(
      options.scale_min > 0 && options.scale_min <= options.scale_max && options.scale_max <= 1,
      ErrorCode::kInvalidArgument,
      "[data::draw_view] scale_min and scale_max must be in (0, 1], the second not below the "
      "first, "
      "got {} and {}.",
      options.scale_min,
      options.scale_max);
  DETENTE_CHECK(shape.size() > 0,
                ErrorCode::kInvalidArgument,
                "[data::draw_view] an image of {} x {} x {} numbers has no parts.",
                shape.height,
                shape.width,
                shape.channels);
  const auto whole = static_cast<double>(shape.pixels());
  const double widest = std::log(kWidestPart);
  for (int i = 0; i < kPartTries; ++i) {
    const double area = whole * rng.uniform(options.scale_min, options.scale_max);
    const double aspect = std::exp(rng.uniform(-widest, widest));
    ImagePart part;
    part.width = static_cast<std::size_t>(std::llround(std::sqrt(area * aspect)));
    part.height = static_cast<std::size_t>(std::llround(std::sqrt(area / aspect)));
    if (part.width < 1 || part.width > shape.width) continue;
    if (part.height < 1 || part.height > shape.height) continue;
    part.top = rng.below(shape.height - part.height + 1);
    part.left = rng.below(shape.width - part.width + 1);
    return part;
  }
  const auto height = static_cast<double>(shape.height);
  const auto width = static_cast<double>(shape.width);
  ImagePart part{0, 0, shape.height, shape.width};
  const auto side = [](double length) { return static_cast<std::size_t>(std::llround(length)); };
  if (width > height * kWidestPart) part.width = side(height * kWidestPart);
  if (height > width * kWidestPart) part.height = side(width * kWidestPart);
  part.top = (shape.height - part.height) / 2;
  part.left = (shape.width - part.width) / 2;
  return part;
}

void draw_view(std::span<const float> image,
               const ImageShape& shape,
               const ViewOptions& options,
               Rng& rng,
               std::span<float> view) {
  const ImageShape result = shape_of(shape, options);
  DETENTE_CHECK(image.size() == shape.size() && view.size() == result.size(),
                ErrorCode::kShape,
                "[data::draw_view] an image of {} and a view of {} numbers; expected {} and {}.",
                image.size(),
                view.size(),
                shape.size(),
                result.size());
  resize_part(image, shape, draw_part(shape, options, rng), result.height, view);
  if (happens(options.flip, rng)) flip_columns(view, result);
  if (happens(options.jitter, rng)) jitter_colours(view, result, options, rng);
  if (happens(options.grey, rng) && result.channels == 3) make_grey(view, result);
  if (happens(options.blur, rng)) blur(view, result, rng.uniform(kSmallestBlur, kLargestBlur));
  if (happens(options.solarise, rng)) solarise(view);
}

void MultiCropOptions::describe(FieldVisitor& visitor) {
  visitor.integer("global_crops",
                  global_crops,
                  {.min = 1, .max = 64},
                  "Large views of each image; the teacher sees these alone.");
  visitor.integer("local_crops", local_crops, {.min = 0, .max = 64}, "Small views of each image.");
  visitor.integer(
      "global_size",
      global_size,
      {.min = 0, .max = kLongestSide},
      "Side of a large view in pixels, up to the images' smaller side, which 0 stands for.");
  visitor.integer("local_size",
                  local_size,
                  {.min = 0, .max = kLongestSide},
                  "Side of a small view in pixels; 0: half of global_size.");
  visitor.number("global_scale",
                 global_scale,
                 {.min = 0, .max = 1, .min_open = true},
                 "A large view shows this share of the image's area or more (published: 0.4; "
                 "without small views 0.14).");
  visitor.number("local_scale",
                 local_scale,
                 {.min = 0, .max = 1, .min_open = true},
                 "A small view shows this share of the image's area or more, up to global_scale.");
  visitor.number(
      "flip",
      flip,
      {.min = 0, .max = 1},
      "Share of views in which left and right change places (not for digits and letters).");
  visitor.number("jitter",
                 jitter,
                 {.min = 0, .max = 1},
                 "Share of views whose brightness, contrast, saturation and hue are changed.");
  visitor.number("grey", grey, {.min = 0, .max = 1}, "Share of views that lose their colours.");
  visitor.flag("blur",
               blur,
               "Blur the first large view, one in ten of the others and every second small one, "
               "by up to 2 pixels; false for images so small that little would be left of them.");
}

std::vector<ViewOptions> MultiCropOptions::views(const ImageShape& shape) const {
  MultiCropOptions checked = *this;
  validate_fields([&](FieldVisitor& visitor) { checked.describe(visitor); },
                  "[data::MultiCrop] option");
  DETENTE_CHECK(global_crops + local_crops >= 2,
                ErrorCode::kInvalidArgument,
                "[data::MultiCrop] one view has no other to be compared with; expected "
                "'global_crops' and 'local_crops' to be 2 or more together.");
  const auto smaller = static_cast<std::int64_t>(std::min(shape.height, shape.width));
  DETENTE_CHECK(smaller >= 1,
                ErrorCode::kInvalidArgument,
                "[data::MultiCrop] images of {} x {} pixels have no views.",
                shape.height,
                shape.width);
  const auto check_size = [&](const char* name, std::int64_t size) {
    DETENTE_CHECK(
        size <= smaller,
        ErrorCode::kInvalidArgument,
        "[data::MultiCrop] option '{}' is {}, but the images have {} x {} pixels; expected "
        "at most {}. Larger views would show nothing more: set data.size to enlarge the "
        "images themselves.",
        name,
        size,
        shape.height,
        shape.width,
        smaller);
  };
  ViewOptions global;
  global.size = global_size > 0 ? global_size : smaller;
  check_size("global_size", global.size);
  global.scale_min = global_scale;
  global.flip = flip;
  global.jitter = jitter;
  global.grey = grey;
  std::vector<ViewOptions> result;
  for (std::int64_t i = 0; i < global_crops; ++i) {
    ViewOptions& view = result.emplace_back(global);
    if (blur) view.blur = i == 0 ? kFirstGlobalBlur : kOtherGlobalBlur;
    if (i > 0) view.solarise = kOtherGlobalSolarise;
  }
  if (local_crops == 0) return result;

  DETENTE_CHECK(
      local_scale <= global_scale,
      ErrorCode::kInvalidArgument,
      "[data::MultiCrop] option 'local_scale' is {}, but 'global_scale' {}; small views show "
      "shares of the image between the two, so expected the first not above the second.",
      number_text(local_scale),
      number_text(global_scale));
  ViewOptions local = global;
  local.size = local_size > 0 ? local_size : std::max<std::int64_t>(1, global.size / 2);
  check_size("local_size", local.size);
  local.scale_min = local_scale;
  local.scale_max = global_scale;
  if (blur) local.blur = kLocalBlur;
  result.insert(result.end(), static_cast<std::size_t>(local_crops), local);
  return result;
}

std::vector<Batch> view_batches(const PictureSource& source,
                                std::span<const std::size_t> rows,
                                std::span<const ViewOptions> views,
                                const Rng& stream,
                                int threads) {
  DETENTE_CHECK(!source.whitened(),
                ErrorCode::kInvalidArgument,
                "[data::view_batches] views are of images as they are read; expected no "
                "'data.contrast' and no 'data.zca'.");
  const ImageShape shape = source.shape();
  std::vector<ImageShape> shapes;
  std::vector<std::vector<float>> values;
  for (const ViewOptions& view : views) {
    shapes.push_back(shape_of(shape, view));
    values.emplace_back(rows.size() * shapes.back().size());
  }
  for_each_row(rows.size(), threads, [&](std::size_t i) {
    const std::vector<float> image = planes_of(source, rows[i]);
    for (std::size_t v = 0; v < views.size(); ++v) {
      Rng rng = chance_of(stream, rows[i], v);
      const std::size_t length = shapes[v].size();
      const std::span<float> view = std::span(values[v]).subspan(i * length, length);
      draw_view(image, shape, views[v], rng, view);
      standardise(source, view);
    }
  });
  std::vector<Batch> batches;
  for (std::size_t v = 0; v < views.size(); ++v) {
    const ImageShape& side = shapes[v];
    batches.push_back(
        {{"image", {rows.size(), side.channels, side.height, side.width}, std::move(values[v])}});
  }
  return batches;
}

Batch distorted_batch(const PictureSource& source,
                      std::span<const std::size_t> rows,
                      const Augmentation& changes,
                      const Rng& stream,
                      std::uint64_t view) {
  return source.changed_batch(
      rows, changes, [&](std::size_t row) { return chance_of(stream, row, view); });
}

void append_images(Batch& all, const Batch& more) {
  Array& to = all.front();
  const Array& from = more.front();
  auto& values = std::get<std::vector<float>>(to.values);
  const auto& added = std::get<std::vector<float>>(from.values);
  DETENTE_DCHECK(
      std::equal(to.shape.begin() + 1, to.shape.end(), from.shape.begin() + 1, from.shape.end()));
  values.insert(values.end(), added.begin(), added.end());
  to.shape[0] += from.shape[0];
}

Image view_picture(const PictureSource& source,
                   std::size_t row,
                   const ViewOptions& view,
                   const Rng& stream,
                   std::uint64_t number) {
  const ImageShape shape = source.shape();
  Image picture{shape_of(shape, view), {}};
  std::vector<float> planes(picture.shape.size());
  Rng rng = chance_of(stream, row, number);
  draw_view(planes_of(source, row), shape, view, rng, planes);
  picture.values.reserve(planes.size());
  for (std::size_t i = 0; i < picture.shape.pixels(); ++i) {
    for (std::size_t c = 0; c < shape.channels; ++c) {
      const float value = planes[c * picture.shape.pixels() + i];
      picture.values.push_back(static_cast<std::uint8_t>(std::lround(value)));
    }
  }
  return picture;
}

}  // namespace detente::data
