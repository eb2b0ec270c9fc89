# Writes a header with files as string constants: cmake -DOUT=header -DASSETS="kName=file;…" -P embed_assets.cmake
# A raw string has a limit of its own in some compilers, so the bytes are written as numbers.
set(text "// Made by cmake/embed_assets.cmake.\n#pragma once\n#include <string_view>\nnamespace swarmsync {\n")
foreach(asset IN LISTS ASSETS)
  string(REPLACE "=" ";" pair "${asset}")
  list(GET pair 0 name)
  list(GET pair 1 file)
  file(READ "${file}" bytes HEX)
  string(LENGTH "${bytes}" length)
  math(EXPR size "${length} / 2")
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
  string(APPEND text "inline constexpr char ${name}Bytes[] = {${bytes}'\\0'};\n"
    "inline constexpr std::string_view ${name}(${name}Bytes, ${size});\n")
endforeach()
string(APPEND text "}  // namespace swarmsync\n")
file(WRITE "${OUT}" "${text}")
