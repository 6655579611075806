// What a handler of XLA's foreign function interface sees: structs of its C interface, of which XLA says that an older
// version stays supported, and that a minor version only adds fields. Declared here, and not taken from the headers that
// jaxlib ships, so that a wheel built where there is no jaxlib has the handlers, and no jaxlib is needed to load it.
//
// The names and layouts are those of xla/ffi/api/c_api.h, without what the handlers do not touch.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ce::xla {

constexpr int kMajorVersion = 0;

// Of every struct: its size, and a list of extensions, empty but where XLA asks for a handler's version.
struct Extension {
  size_t struct_size;
  int type;  // 1: Metadata follows
  Extension* next;
};

struct Header {
  size_t struct_size;
  Extension* extensions;
};

struct Version {
  Header header;
  int major, minor;
};

struct Metadata {
  size_t struct_size;
  Version version;  // to be filled in
  uint32_t traits;  // to be filled in
};

struct MetadataExtension {
  Extension base;
  Metadata* metadata;
};

struct Error;

struct ErrorArguments {
  Header header;
  const char* message;
  int code;
};

struct Api {
  Header header;
  Version version;
  const void* internal;
  Error* (*create_error)(ErrorArguments*);
};

enum class Type : int {
  kBool = 1,
  kInt8 = 2, kInt16 = 3, kInt32 = 4, kInt64 = 5,
  kUint8 = 6, kUint16 = 7, kUint32 = 8, kUint64 = 9,
  kFloat16 = 10, kFloat32 = 11, kFloat64 = 12, kBFloat16 = 16,
};

struct Buffer {
  Header header;
  Type type;
  void* data;
  int64_t rank;
  const int64_t* sizes;
};

// An attribute that is an array of numbers.
struct Array {
  Type type;
  size_t size;
  const void* data;
};

// Arguments or results: `size` of them, all buffers.
struct Buffers {
  Header header;
  int64_t size;
  const int* kinds;
  const Buffer* const* at;
};

struct Attributes {
  Header header;
  int64_t size;
  const int* kinds;
  const void* const* names;
  const void* const* at;
};

struct Call {
  Header header;
  const Api* api;
  void* context;
  int stage;
  Buffers arguments, results;
  Attributes attributes;
};

using Handler = Error*(Call*);

}  // namespace ce::xla
