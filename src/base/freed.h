// A deleter that is a function: std::unique_ptr<BIO, freed<BIO_free_all>>.
#pragma once

namespace evp {

template <auto Free>
struct freed {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};

}  // namespace evp
