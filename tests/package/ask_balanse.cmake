# SPDX-License-Identifier: Apache-2.0
find_package(Detente REQUIRED COMPONENTS balanse)
