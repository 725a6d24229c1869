// SPDX-License-Identifier: Apache-2.0
// What the file or folder that a recipe names holds, before anything of it is decoded: a table with
// a row per image, and where its pixels are.
//
//   list      a table (data/table.h) with a column of image files, relative to the table's folder
//   folder    a folder per class with JPEG and PNG files in it; without classes (prediction) also
//             the files alone
//   idx       images, and labels in the file beside them (data/image_block.h)
//   CIFAR-10  records with their labels
//
// Lists are known by their ending, folders are folders, the others by their content. A `*` in the
// name of an idx or CIFAR file stands for any text: all such files in the order of their names.
#pragma once

#include <detente/core/json.h>
#include <detente/data/image_block.h>
#include <detente/data/table.h>

#include <filesystem>
#include <string>
#include <vector>

namespace detente::data {

// The classes by id: their names, and what else is known of each.
struct ClassTable {
  std::vector<std::string> columns;             // "label", then the others
  std::vector<std::vector<std::string>> cells;  // per class, one per column

  bool empty() const { return cells.empty(); }
  std::vector<std::string> names() const;

  Json to_json() const;
  // kData, naming `source`.
  static ClassTable from_json(const Json& json, const std::string& source);
};

// A table (.csv, .tsv, gzip or not) whose first column is the name, or a text file (.txt) with a
// name a line. Throws kIo, kData: no class, a name twice or empty, a column named "image" or "label".
ClassTable read_class_file(const std::filesystem::path& path);
// The same from memory.
ClassTable parse_class_names(const std::string& content, const std::string& source);

struct ImageRows {
  Table table;  // column `image`, with labels "label" and the classes' others
  std::vector<std::filesystem::path> files;  // of each row; or
  ImageBlock block;                          // one image a row
  ClassTable classes;                        // as given; a folder's own where none were
  std::vector<std::string> warnings;
  bool is_list = false;  // the table is a file, and its lines are worth naming
};

struct ImageListing {
  std::string path;
  TableFormat format = TableFormat::kAuto;
  std::string column = "image";  // of a list
  ClassTable classes;            // known; empty: none
  bool labels = true;            // whether they are wanted
};

// Throws kIo and kData, naming file and line or record.
ImageRows list_images(const ImageListing& listing);

}  // namespace detente::data
