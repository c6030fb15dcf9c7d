//! The four invariants and PyTorch's arrays on the GPU engine, with the suites of the CPU engine.

use crate::common::tolerances::{HARD_VARIANCE_F32, HARD_VARIANCE_RUNNING_F32, pytorch_f32};
use bngpu::engine::gpu::GpuOptions;

use crate::common::training::{EAGER, LAZY, digits, factory};
use crate::common::{gpu, pytorch};
use crate::common::{invariance, refill};

macro_rules! on_gpu {
    ($($(#[$about:meta])* $name:ident: $body:expr;)*) => {$(
        $(#[$about])*
        #[test]
        #[ignore = "needs a GPU; scripts/test includes it"]
        fn $name() {
            $body
        }
    )*};
}

on_gpu! {
    a_member_has_the_same_bits_alone_and_in_any_slot:
        invariance::alone_is_any_slot(&gpu::make, 1, &[0, 1, 7, 31, 32, 47, 62, 63]);
    members_with_other_recipes_have_the_same_bits_as_alone:
        invariance::recipes_do_not_mix(&gpu::make, 0);
    a_hundred_repeats_are_identical: invariance::repeats_are_identical(&gpu::make, 3, 100);
    division_into_calls_does_not_matter:
        (0..4).for_each(|seed| invariance::division_does_not_matter(&gpu::make, seed));
    evaluation_and_pauses_do_not_change_training:
        (0..4).for_each(|seed| invariance::evaluation_and_pauses_do_not_change_training(&gpu::make, seed));
    poison_between_steps_is_found_and_contained: {
        let found: usize = (0..4).map(|s| invariance::poison_is_found_and_contained(&gpu::make, s)).sum();
        assert!(found > 60, "{found}");
    };
    poison_within_a_step_is_found: {
        let found: usize = (0..4).map(|s| invariance::poison_within_a_step_is_found(&gpu::make, s)).sum();
        assert!(found > 60, "{found}");
    };
    stale_memory_is_never_read: (0..4).for_each(|seed| invariance::stale_memory_is_never_read(&gpu::make, seed));
    a_bad_row_is_found_at_its_step:
        (0..6).for_each(|seed| invariance::a_bad_row_is_found_at_its_step(&gpu::make, seed));
    small_and_flat_batches_stay_finite: invariance::small_and_flat_batches_stay_finite(&gpu::make);
    fixed_gamma_and_beta_do_not_change: invariance::fixed_gamma_and_beta_do_not_change(&gpu::make);
    pytorch_batch_norm: pytorch::batch_norm(&gpu::probe, &pytorch_f32);
    pytorch_sub_models: pytorch::sub_models(&gpu::probe, &pytorch_f32);
    pytorch_networks: pytorch::networks(&gpu::probe, &pytorch_f32);
    pytorch_optimizers: pytorch::optimizers(&gpu::probe, &pytorch_f32);
    columns_far_from_zero_keep_their_digits: pytorch::hard_variance(&gpu::probe, HARD_VARIANCE_F32);
    columns_at_1e4_to_1e6_keep_their_digits:
        pytorch::offsets(&gpu::probe, HARD_VARIANCE_F32, HARD_VARIANCE_RUNNING_F32);
    rms_prop: pytorch::rms_prop(&gpu::probe, pytorch_f32(1.0));
    a_refill_touches_its_slot_alone:
        (0..4).for_each(|seed| refill::a_refill_touches_its_slot_alone(&gpu::make, seed));
    a_stream_of_members_through_a_few_slots_trains_each_as_if_alone: {
        let (factory, problem) = (factory(gpu::strict()), digits(0.8));
        let trainings = refill::stream_of(40, 0);
        let alone = refill::each_alone(&factory, &trainings, &problem);
        // Also with data that stream through a window.
        let window = GpuOptions { data_memory: Some(20_000), ..gpu::strict() };
        let window = crate::common::training::factory(window);
        for (factory, pace) in [(&factory, EAGER), (&factory, LAZY), (&window, EAGER)] {
            let (found, moved) = refill::stream(factory, &trainings, &problem, pace, 0);
            assert!(moved > 10, "{moved}");
            refill::assert_as_alone(&found, &alone, "stream");
        }
    };
}
