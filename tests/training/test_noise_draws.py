"""Where a prior learns: at every noise level that matters, each error by how small it could be."""

from training.loop import Draw
from training.noise_draws import LEVELS, decisive_levels, even_levels
from training.prior import noise_levels

SIGMAS = noise_levels()


def test_even_levels_are_even_in_their_logarithm():
    timestep, _ = even_levels(SIGMAS)(4096, Draw(1, 1))
    sigma = SIGMAS[timestep]
    assert LEVELS[0] <= sigma.min() and sigma.max() <= 1.02 * LEVELS[1]
    shares = [((sigma >= low) & (sigma < high)).float().mean() for low, high in ((0.5, 5), (5, 50))]
    assert abs(shares[0] - shares[1]) < 0.03


def test_at_low_noise_an_error_counts_more_for_less_of_it_is_needed():
    timestep, weight = even_levels(SIGMAS)(512, Draw(1, 2))
    order = SIGMAS[timestep].argsort()
    assert (weight[order].diff() <= 1e-6).all() and weight.min() > 0.05 and abs(weight.max() - 1) < 0.05


def test_decisive_levels_leave_low_noise_to_few():
    timestep, weight = decisive_levels(4096, Draw(1, 3))
    assert (SIGMAS[timestep] < 1).float().mean() < 0.1 and (weight == 1).all()
