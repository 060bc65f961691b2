from .crops import crop_positions as crop_positions
from .editing import (
    cut_patch as cut_patch,
    paste_patch as paste_patch,
    resample_patch as resample_patch,
)
from .energy import EnergyTest as EnergyTest, energy_test as energy_test
from .positions import (
    Grid as Grid,
    find_positions as find_positions,
    position_entropy as position_entropy,
    sample_grid as sample_grid,
    seed_share as seed_share,
    shuffled_seeds as shuffled_seeds,
)
from .triggers import (
    first_estimate as first_estimate,
    mean_patch as mean_patch,
    patch_score as patch_score,
)
