// SPDX-License-Identifier: Apache-2.0
// A recipe for a folder of images, recordings or clips, or for a list of them, as data/propose.h has it for
// tables: what to predict, to which form the files are brought, and why.
#pragma once

#include <detente/data/propose.h>
#include <detente/data/table.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace detente::data {

struct FileProposal {
  std::string kind;  // "images", "audio", "video" or "arrays"
  std::size_t rows = 0;
  std::string column;       // of a list, the files'; of folders empty
  std::string why_targets;  // how the targets were found
  std::vector<ProposedTask> tasks;
  std::vector<std::string> notes;  // what is left out

  double dev = 0, test = 0;  // shares
  std::int64_t split_seed = 0;
  std::string split_column;  // in place of shares: the column that says it

  // Images and clips: [height, width], where they differ or are large; empty: as they are.
  std::vector<std::int64_t> size;
  std::string why_size;
  // Audio: 0 where all recordings are of one length.
  std::int64_t frames = 0;
  std::int64_t mels = 40;
  std::string why_frames;
  // Clips: `frames` is always there; of the pictures every so manieth is a frame.
  std::int64_t stride = 1;

  // Arrays: which one holds the inputs, and how they lie in it.
  std::string inputs;
  std::string layout = "channels_first";
  std::string why_layout;
  bool own_test = false;  // they have a test part, and no other
  std::string why_parts;  // where the arrays have their parts themselves; then there are no shares

  std::string model = "convnet";
  std::vector<std::int64_t> channels;
  std::vector<std::int64_t> widths;  // mlp, in place of channels
  double dropout = 0;
  double lr = 0.002;
  std::int64_t epochs = 1;
  std::int64_t batch_size = 32;
};

// Nothing for a table none of whose columns names images, recordings or clips (video files, folders of
// pictures) in every row. `targets` as in propose_recipe; of folders the class is the one there is. At most
// 200 files are looked at, of clips 20, evenly spaced. Throws kIo and kData: a folder that holds none of them or several kinds, without folders for classes or
// with one, fewer than 2 files, a file that cannot be read, recordings of several rates, and of
// lists what propose_recipe throws.
std::optional<FileProposal> propose_files(const std::string& path,
                                          TableFormat format,
                                          const std::vector<std::string>& targets);

}  // namespace detente::data
