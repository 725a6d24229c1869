// SPDX-License-Identifier: Apache-2.0
// Fontconfig, which Cairo asks for fonts, keeps its tables until the process ends; the leak
// sanitizer reports them. Read by its runtime where there is one.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libfontconfig\n"; }
