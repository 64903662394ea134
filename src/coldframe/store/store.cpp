#include <coldframe/store/store.hpp>

#include <coldframe/util/try.hpp>

namespace coldframe::store {

Result<PutReport> Store::publish(Package package, const Publication& publication) {
    set_structure(package, publication.structure);
    COLDFRAME_TRY_ASSIGN(PutReport report, put(package));
    for (const Digest& id : publication.replaces) {
        if (id != report.id) COLDFRAME_TRY(remove(report.key, id));
    }
    if (publication.keep) COLDFRAME_TRY(trim(report.key, *publication.keep));
    return report;
}

}  // namespace coldframe::store
