// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/image_file.h>
#include <detente/data/image_source.h>
#include <detente/data/parallel_rows.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace detente::data {
namespace {

constexpr const char* kImagesFormat = "detente-images-1";
constexpr const char* kLeft = "left_";
constexpr const char* kRight = "right_";

std::filesystem::path images_file(const std::filesystem::path& run) { return run / "images.json"; }

Table overlaid(const Table& table, const std::vector<std::size_t>& partners) {
  std::vector<std::string> names;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < table.rows(); ++i) places.push_back(table.place(i));
  std::vector<std::vector<std::string>> columns;
  for (const bool left : {true, false}) {
    for (std::size_t c = 0; c < table.columns(); ++c) {
      names.push_back((left ? kLeft : kRight) + table.column_names()[c]);
      std::vector<std::string>& cells = columns.emplace_back();
      for (std::size_t i = 0; i < table.rows(); ++i) {
        cells.emplace_back(table.cell(left ? i : partners[i], c));
      }
    }
  }
  return Table::made(std::move(names), columns, table.source()).with_places(std::move(places));
}

}  // namespace

void ImageSource::describe(FieldVisitor& data) {
  data.text("image", column_, "Lists: the column of image files, relative to the list's folder.");
  data.file(
      "class_file",
      class_file_,
      "idx, CIFAR and folders: the classes by id, a name a line (.txt) or a table whose first "
      "column is the name (label) and whose others are columns for further tasks.");
  data.numbers("size",
               size_,
               {.min = 1, .max = kLongestSide},
               "[height, width] of what the network sees; default: those of the first training "
               "image.");
  data.choice("resize",
              resize_,
              {{"none", Resize::kNone}, {"stretch", Resize::kStretch}, {"crop", Resize::kCrop}},
              "What happens to images of another size: none: they are an error; stretch: scaled, "
              "whatever becomes of their proportions; crop: scaled until they cover the size, then "
              "cut about the centre.");
  data.choice_text("channels",
                   channels_,
                   {"auto", "1", "3"},
                   "1: grey; 3: red, green, blue; auto: 3 where any training image has colours.");
  data.integer("memory",
               memory_,
               {.min = 1, .max = 1e9},
               "MiB that the images of a part may take, a byte a number; more is an error.");
  data.integer(
      "overlay",
      overlay_,
      {.min = 0, .max = kLongestSide},
      "Two images an example (Multi-MNIST): at the top left and, another of the same part, "
      "at the bottom right of a black square of this side, the larger value in each pixel. "
      "Columns become left_... and right_...; 0: one image.");
  data.integer("overlay_seed", overlay_seed_, {.min = 0, .max = 9e15}, "Decides which two.");
  whitening_options_.describe(data);
  data.section("labelled",
               "Learn with few labels: hide those of all other training rows.",
               [this](FieldVisitor& section) { labelled_.describe(section); });
  data.section("augment", "Random changes of training images.", [this](FieldVisitor& section) {
    augmentation_.describe(section);
  });
}

void ImageSource::resolve_paths(const std::filesystem::path& folder) {
  if (!class_file_.empty()) class_file_ = absolute_path(class_file_, folder);
}

std::vector<std::string> ImageSource::named_inputs() const {
  if (overlay_ == 0) return {column_};
  return {kLeft + column_, kRight + column_};
}

std::unique_ptr<Source> ImageSource::fresh() const {
  auto source = std::make_unique<ImageSource>();
  source->column_ = column_;
  source->class_file_ = class_file_;
  source->size_ = size_;
  source->resize_ = resize_;
  source->channels_ = channels_;
  source->memory_ = memory_;
  source->overlay_ = overlay_;
  source->overlay_seed_ = overlay_seed_;
  source->augmentation_ = augmentation_;
  source->whitening_options_ = whitening_options_;
  source->labelled_ = labelled_;
  return source;
}

void ImageSource::check_options() const {
  const bool whole =
      std::all_of(size_.begin(), size_.end(), [](double side) { return side == std::floor(side); });
  DETENTE_CHECK((size_.empty() || size_.size() == 2) && whole,
                ErrorCode::kInvalidArgument,
                "[data::ImageSource] 'data.size' must be two whole numbers, [height, width].");
  DETENTE_CHECK(!column_.empty(),
                ErrorCode::kInvalidArgument,
                "[data::ImageSource] 'data.image' is empty; name the column of image files.");
  DETENTE_CHECK(
      !whitening_options_.any() || (overlay_ == 0 && augmentation_.jitter == 0),
      ErrorCode::kInvalidArgument,
      "[data::ImageSource] 'data.contrast' and 'data.zca' stand beside 'data.{}'; expected "
      "{}.",
      overlay_ > 0 ? "overlay" : "augment.jitter",
      overlay_ > 0 ? "one image an example"
                   : "no jitter, which changes brightness and contrast of what has none "
                     "of them any more");
  DETENTE_CHECK(labelled_.batch == 0 || labelled_.rows > 0,
                ErrorCode::kInvalidArgument,
                "[data::ImageSource] 'data.labelled.batch' is {}, but all rows keep their labels; "
                "expected 'data.labelled.rows' above 0.",
                labelled_.batch);
}

ImageShape ImageSource::shape() const {
  if (overlay_ == 0) return fit_.shape;
  const auto side = static_cast<std::size_t>(overlay_);
  return {side, side, fit_.shape.channels};
}

void ImageSource::read_rows(const SourceInput& input, const Source* fitted) {
  check_options();
  fit_ = fitted == nullptr ? ImageFit{} : dynamic_cast<const ImageSource&>(*fitted).fit_;
  if (fitted == nullptr && !class_file_.empty()) fit_.classes = read_class_file(class_file_);
  const bool labels = !input.files.picked && (fitted == nullptr || !input.targets.empty());
  const bool several = !input.files.sources.empty();
  DETENTE_CHECK(!several || labelled_.rows == 0,
                ErrorCode::kInvalidArgument,
                "[data::ImageSource] 'data.labelled' chooses among the rows of one training file; "
                "expected no 'data.sources' beside it.");
  DETENTE_CHECK(
      (!input.files.picked && input.files.given == nullptr) ||
          (!whitening_options_.any() && labelled_.rows == 0),
      ErrorCode::kInvalidArgument,
      "[data::ImageSource] 'contrast', 'zca' and 'labelled' are not for images that are a "
      "part of joined examples; leave them out there.");
  DETENTE_CHECK(
      !several || overlay_ == 0,
      ErrorCode::kInvalidArgument,
      "[data::ImageSource] 'data.overlay' lays two images of one file over each other; expected "
      "no 'data.sources' beside it.");
  const ImageListing listing{input.files.file(input.part),
                             input.files.format,
                             column_,
                             fit_.classes,
                             labels,
                             input.files.given.get()};
  const ImageRows rows = several ? ImageRows{list_sources(input.files, input.part, listing, {}), {}}
                                 : list_images(listing);
  warnings_ = rows.warnings;
  fit_.classes = rows.classes;
  // Which two lie over each other is drawn among all, so that leaving one out changes no other.
  SourceFiles files = input.files;
  if (overlay_ > 0) files.drop.clear();
  const RowList chosen = files.chosen_rows(input.part, rows.table);
  table_ = rows.table.select(chosen);
  costs_.assign(chosen.size(), 1);
  read_pixels(rows, chosen, input.threads, fitted == nullptr);
  corners_.clear();
  partners_.clear();
  if (overlay_ > 0) {
    choose_partners(chosen, input.files.limited(input.part, chosen, rows.table.rows()));
  }
  take_places(*table_);
  if (fitted == nullptr) {
    RowList all(size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    fit_scale(all, table_->source());
  }
  whiten(dynamic_cast<const ImageSource*>(fitted), input.threads);
  read_targets(*table_, input.targets);
  if (labelled_.rows > 0 && input.part == Part::kTrain && !targets_.empty()) {
    labelled_.hide(targets_);
  }
}

void ImageSource::read_pixels(const ImageRows& rows,
                              const RowList& chosen,
                              int threads,
                              bool training) {
  if (training && !size_.empty()) {
    fit_.shape.height = static_cast<std::size_t>(size_[0]);
    fit_.shape.width = static_cast<std::size_t>(size_[1]);
  }
  if (training && channels_ != "auto") fit_.shape.channels = channels_ == "1" ? 1 : 3;
  if (rows.files.empty()) {
    read_block(rows, chosen, training);
  } else {
    read_files(rows, chosen, threads, training);
  }
}

void ImageSource::read_block(const ImageRows& rows, const RowList& chosen, bool training) {
  const ImageShape given = rows.block.shape;
  if (training && fit_.shape.height == 0) {
    fit_.shape.height = given.height;
    fit_.shape.width = given.width;
  }
  if (training && fit_.shape.channels == 0) fit_.shape.channels = given.channels;
  check_memory(chosen.size(), fit_.shape);
  pixels_.clear();
  pixels_.reserve(chosen.size() * fit_.shape.size());
  for (const std::size_t row : chosen) {
    const std::uint8_t* begin = rows.block.values.data() + row * given.size();
    if (given == fit_.shape) {
      pixels_.insert(pixels_.end(), begin, begin + given.size());
      continue;
    }
    const Image image = with_channels(in_size({given, {begin, begin + given.size()}},
                                              fit_.shape.height,
                                              fit_.shape.width,
                                              rows.table.source()),
                                      fit_.shape.channels);
    pixels_.insert(pixels_.end(), image.values.begin(), image.values.end());
  }
}

void ImageSource::read_files(const ImageRows& rows,
                             const RowList& chosen,
                             int threads,
                             bool training) {
  // Errors name the row of a list that names the file.
  const auto read = [&](std::size_t i) {
    const std::filesystem::path& file = rows.files[chosen[i]];
    try {
      return read_image(file);
    } catch (const Error& error) {
      if (!rows.is_list) throw;
      fail(error.code(),
           "{} It is named in line {} of '{}'.",
           error.what(),
           rows.table.line(chosen[i]),
           rows.table.source(chosen[i]));
    }
  };
  Image first = read(0);
  if (training && fit_.shape.height == 0) {
    fit_.shape.height = first.shape.height;
    fit_.shape.width = first.shape.width;
  }
  const std::size_t height = fit_.shape.height;
  const std::size_t width = fit_.shape.width;
  const bool settled = fit_.shape.channels != 0;  // else it takes all images to know
  check_memory(chosen.size(), {height, width, settled ? fit_.shape.channels : 1});
  std::vector<Image> images(chosen.size());
  for_each_row(chosen.size(), threads, [&](std::size_t i) {
    const std::string name = rows.files[chosen[i]].string();
    Image image = in_size(i == 0 ? std::move(first) : read(i), height, width, name);
    images[i] = settled ? with_channels(image, fit_.shape.channels) : std::move(image);
  });
  if (!settled) {
    const bool colours = std::any_of(
        images.begin(), images.end(), [](const Image& image) { return image.shape.channels == 3; });
    fit_.shape.channels = colours ? 3 : 1;
    check_memory(chosen.size(), fit_.shape);
  }
  pixels_.clear();
  pixels_.reserve(chosen.size() * fit_.shape.size());
  for (Image& image : images) {
    const Image final_form = with_channels(image, fit_.shape.channels);
    image = {};
    pixels_.insert(pixels_.end(), final_form.values.begin(), final_form.values.end());
  }
}

Image ImageSource::in_size(Image image,
                           std::size_t height,
                           std::size_t width,
                           const std::string& name) const {
  if (image.shape.height == height && image.shape.width == width) return image;
  DETENTE_CHECK(resize_ != Resize::kNone,
                ErrorCode::kData,
                "[data::ImageSource] '{}' has images of {} x {} pixels; expected {} x {}. To bring "
                "all to one size, set data.resize to stretch or crop (and data.size).",
                name,
                image.shape.height,
                image.shape.width,
                height,
                width);
  return resize_ == Resize::kStretch ? resize(image, height, width)
                                     : resize_and_crop(image, height, width);
}

void ImageSource::check_memory(std::size_t count, const ImageShape& shape) const {
  // Whitened ones stand beside those as read, as floats.
  const double bytes = whitening_options_.any() ? 1 + sizeof(float) : 1;
  const double mib =
      std::ldexp(bytes * static_cast<double>(count) * static_cast<double>(shape.size()), -20);
  DETENTE_CHECK(mib <= static_cast<double>(memory_),
                ErrorCode::kData,
                "[data::ImageSource] {} images of {} x {} x {} take {:.0f} MiB; data.memory allows "
                "{}. Choose a smaller data.size or data.max_rows, or allow more.",
                count,
                shape.height,
                shape.width,
                shape.channels,
                std::ceil(mib),
                memory_);
}

void ImageSource::choose_partners(const RowList& chosen, const RowList& kept) {
  const auto side = static_cast<std::size_t>(overlay_);
  DETENTE_CHECK(side >= fit_.shape.height && side >= fit_.shape.width,
                ErrorCode::kInvalidArgument,
                "[data::ImageSource] 'data.overlay' is {}, but the images of '{}' have {} x {} "
                "pixels; expected a side that holds one.",
                side,
                table_->source(),
                fit_.shape.height,
                fit_.shape.width);
  Rng rng = Rng(static_cast<std::uint64_t>(overlay_seed_)).fork(0x6f7665726c6179);
  for (std::size_t i = 0; i < size(); ++i) partners_.push_back(rng.below(size()));
  table_ = overlaid(*table_, partners_);
  for (std::size_t i = 0; i < partners_.size(); ++i) {
    if (std::binary_search(kept.begin(), kept.end(), chosen[i])) corners_.push_back(i);
  }
  std::vector<std::size_t> partners;
  for (const std::size_t i : corners_) partners.push_back(partners_[i]);
  partners_ = std::move(partners);
  table_ = table_->select(corners_);
  costs_.resize(corners_.size());
}

void ImageSource::whiten(const ImageSource* fitted, int threads) {
  whitened_.clear();
  whitening_ = fitted == nullptr ? nullptr : fitted->whitening_;
  if (fitted == nullptr ? !whitening_options_.any() : whitening_ == nullptr) return;
  const ImageShape one = shape();
  whitened_.resize(size() * one.size());
  for_each_row(size(), threads, [&](std::size_t row) {
    std::vector<std::uint8_t> example(one.size());
    write_example(row, example.data());
    float* planes = whitened_.data() + row * one.size();
    for (std::size_t i = 0; i < example.size(); ++i) {
      planes[i % one.channels * one.pixels() + i / one.channels] = example[i];
    }
  });
  if (fitted != nullptr) {
    whitening_->apply(whitened_, threads);
    return;
  }
  whitening_ = std::make_shared<const Whitening>(
      Whitening::fit(whitening_options_, whitened_, one.size(), threads));
}

void ImageSource::write_example(std::size_t row, std::uint8_t* out) const {
  const ImageShape& one = fit_.shape;
  const std::uint8_t* from = pixels_.data() + (overlay_ == 0 ? row : corners_[row]) * one.size();
  if (overlay_ == 0) {
    std::copy(from, from + one.size(), out);
    return;
  }
  const ImageShape whole = shape();
  std::fill(out, out + whole.size(), std::uint8_t{0});
  const auto lay = [&](const std::uint8_t* image, std::size_t top, std::size_t left) {
    const std::size_t line = one.width * one.channels;
    for (std::size_t y = 0; y < one.height; ++y) {
      std::uint8_t* to = out + ((top + y) * whole.width + left) * whole.channels;
      for (std::size_t i = 0; i < line; ++i) to[i] = std::max(to[i], image[y * line + i]);
    }
  };
  lay(from, 0, 0);
  lay(pixels_.data() + partners_[row] * one.size(),
      whole.height - one.height,
      whole.width - one.width);
}

void ImageSource::save(const std::filesystem::path& run) const {
  fit_.save(images_file(run), kImagesFormat);
  if (whitening_ != nullptr) whitening_->save(run);
}

void ImageSource::load(const std::filesystem::path& run) {
  ImageFit fit = ImageFit::load(images_file(run), kImagesFormat, "data::ImageSource");
  whitening_ = Whitening::load(run, fit.shape.size());
  fit_ = std::move(fit);
}

std::vector<ShownColumn> ImageSource::shown() const { return shown_columns(table_); }

}  // namespace detente::data
