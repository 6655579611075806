// What the handlers of XLA have in common: their buffers and settings, and how they answer.
#pragma once

#include <cstring>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>

#include "common/lanes.hpp"
#include "xla/ffi.hpp"

namespace ce::xla {

inline uintptr_t address(const void* p) { return reinterpret_cast<uintptr_t>(p); }

inline Dtype dtype_of(Type type) {
  switch (type) {
    case Type::kFloat32: return Dtype::kFloat32;
    case Type::kFloat64: return Dtype::kFloat64;
    case Type::kBFloat16: return Dtype::kBFloat16;
    case Type::kFloat16: return Dtype::kFloat16;
    case Type::kBool:
    case Type::kInt8:
    case Type::kUint8: return Dtype::kInteger8;
    case Type::kInt16:
    case Type::kUint16: return Dtype::kInteger16;
    case Type::kInt32:
    case Type::kUint32: return Dtype::kInteger32;
    case Type::kInt64:
    case Type::kUint64: return Dtype::kInteger64;
    default: throw std::invalid_argument("an array has a type that the kernels do not know");
  }
}

inline const Buffer& argument(const Call& call, int64_t i) {
  if (i >= call.arguments.size) throw std::invalid_argument("an argument is missing");
  return *call.arguments.at[i];
}

inline const Buffer& result(const Call& call, int64_t i) {
  if (i >= call.results.size) throw std::invalid_argument("a result is missing");
  return *call.results.at[i];
}

// Reads the one attribute, an array of as many numbers as Settings has members of the same kind, 8 bytes each.
template <class Settings>
void read_settings(const Call& call, Type type, Settings& settings) {
  if (call.attributes.size != 1) throw std::invalid_argument("there is not one attribute");
  const Array& numbers = *static_cast<const Array*>(call.attributes.at[0]);
  if (numbers.type != type || numbers.size != sizeof(Settings) / 8)
    throw std::invalid_argument("the attribute is not that of this version of the kernels");
  std::memcpy(&settings, numbers.data, sizeof(Settings));
}

// XLA asks for the version of a handler by a call without a program. It is XLA's own, for the structs declared here are the
// same in all minor versions; at version 1 and before XLA did not say which it is.
inline bool answers_version(Call* call) {
  Extension* extension = call->header.extensions;
  if (!extension || extension->type != 1) return false;
  Metadata& metadata = *reinterpret_cast<MetadataExtension*>(extension)->metadata;
  metadata.version.major = kMajorVersion;
  metadata.version.minor = call->api ? call->api->version.minor : 1;
  metadata.traits = 0;
  return true;
}

template <class Work>
Error* handled(Call* call, const Work& work) {
  if (answers_version(call)) return nullptr;
  std::string message;
  try {
    work(*call);
    return nullptr;
  } catch (const std::bad_alloc&) {
    message = "crossentropy: out of memory";
  } catch (const std::exception& error) {
    message = std::string("crossentropy: ") + error.what();
  }
  ErrorArguments arguments{{sizeof(ErrorArguments), nullptr}, message.c_str(), 13};
  return call->api->create_error(&arguments);
}

}  // namespace ce::xla
