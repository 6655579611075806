#include "classes/bi_tempered.hpp"
#include "classes/class_rows.hpp"
#include "common/parallel.hpp"

namespace ce {

template <class Form>
CE_CLONES_OF_DUALS void ClassLoss::pull_block_along(const Form& form, const View& from, const View& direction,
                                                    double factor, const double* upstream, const View& out,
                                                    int64_t begin, int64_t end) const {
  pull_rows(form, from, &direction, factor, upstream, out, begin, end);
}

// A formula is computed in double for its second derivatives, whatever the logits are stored in.
template <class Work>
void ClassLoss::with_formula_of_duals(const Work& work) const {
  const FormulaNumbers& n = formula.numbers;
  switch (formula.formula) {
    case Formula::kFocal: return work(LinkOfClasses<Dual, FocalLink>(n));
    case Formula::kPower: return work(LinkOfClasses<Dual, PowerLink>(n));
    case Formula::kBrier: return work(Brier<Dual>(n));
    case Formula::kBiTempered: return work(BiTempered<Dual>(n));
    case Formula::kMixture: return work(Mixture<Dual>(n));
    default: return;
  }
}

void ClassLoss::pullback_along(uintptr_t from, double factor, const double* upstream, const View& direction,
                               const View& out, int threads) const {
  View here = logits;
  here.address = from;
  with_formula_of_duals([&](const auto& form) {
    parallel_blocks(shape.rows(), rows_with(kEntriesAtATime, shape.classes), threads, [&](int64_t begin, int64_t end) {
      pull_block_along(form, here, direction, factor, upstream, out, begin, end);
    });
  });
}

}  // namespace ce
