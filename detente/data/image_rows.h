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
#include <detente/data/image_file.h>
#include <detente/data/source_files.h>
#include <detente/data/table.h>
#include <detente/data/targets.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
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

// What the files of a list or folder are: in messages, and by their names.
struct FileKind {
  const char* word = "image";  // also the column of tables made here
  const char* endings = ".jpg, .jpeg or .png";
  bool (*fits)(const std::filesystem::path&) = has_image_name;
};

struct FileRows {
  Table table;  // column `image` (FileKind::word), with labels "label" and the classes' others
  std::vector<std::filesystem::path> files;  // of each row
  ClassTable classes;                        // as given; a folder's own where none were
  std::vector<std::string> warnings;
  bool is_list = false;  // the table is a file, and its lines are worth naming
};

// Either `files`, or `block`: one image a row.
struct ImageRows : FileRows {
  ImageBlock block;
};

struct ImageListing {
  std::string path;
  TableFormat format = TableFormat::kAuto;
  std::string column = "image";  // of a list
  ClassTable classes;            // known; empty: none
  bool labels = true;            // whether they are wanted
  const Table* given = nullptr;  // the list itself, in place of what `path` holds
};

// By its ending.
bool has_table_name(const std::string& path);

// Throws kIo and kData, naming file and line or record.
ImageRows list_images(const ImageListing& listing);
// Lists and folders alone, of files of any kind; nothing for a path that is neither.
std::optional<FileRows> list_files(const ImageListing& listing, const FileKind& kind);

// The chosen rows of a part's lists, of several sources (SourceFiles::sources) as one joined table.
// kData where a source is no list: folders of classes would number the classes of each anew.
FileRows list_sources(const SourceFiles& files,
                      Part part,
                      const ImageListing& listing,
                      const FileKind& kind);

// Whether a column holds the classes themselves: "label", and those of two overlaid images.
bool is_label(std::string_view column);
// Has the targets in such a column read by name, the ids being the positions among the classes,
// unless the task has names of its own. kData for a task with fewer classes.
void name_classes(TargetColumn& target, const ClassTable& classes);

}  // namespace detente::data
