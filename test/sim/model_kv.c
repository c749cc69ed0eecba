#include "test/sim/model.h"

size_t sim_model_kv(struct sim_model *model, const uint8_t *operation, size_t size, uint8_t *result,
                    bool *is_read)
{
    return sim_model_accounts(model, operation, size, result, is_read);
}
