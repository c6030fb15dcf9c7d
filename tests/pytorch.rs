//! Compares the CPU engine with PyTorch's float64 arrays, in f64 and in f32.

use crate::common::probe::{Exact, Single};
use crate::common::pytorch;
use crate::common::tolerances::{
    HARD_VARIANCE_F32, HARD_VARIANCE_RUNNING_F32, PYTORCH_F64, PYTORCH_F64_STEPS, pytorch_f32,
};

#[test]
fn batch_norm_in_f64() {
    pytorch::batch_norm(&Exact::boxed, &|_| PYTORCH_F64);
}
#[test]
fn batch_norm_in_f32() {
    pytorch::batch_norm(&Single::cpu, &pytorch_f32);
}

#[test]
fn networks_in_f64() {
    pytorch::networks(&Exact::boxed, &|_| PYTORCH_F64);
}
#[test]
fn networks_in_f32() {
    pytorch::networks(&Single::cpu, &pytorch_f32);
}

#[test]
fn sub_models_in_f64() {
    pytorch::sub_models(&Exact::boxed, &|_| PYTORCH_F64);
}
#[test]
fn sub_models_in_f32() {
    pytorch::sub_models(&Single::cpu, &pytorch_f32);
}

#[test]
fn optimizers_in_f64() {
    pytorch::optimizers(&Exact::boxed, &|_| PYTORCH_F64_STEPS);
}
#[test]
fn optimizers_in_f32() {
    pytorch::optimizers(&Single::cpu, &pytorch_f32);
}

#[test]
fn columns_far_from_zero_keep_their_digits() {
    pytorch::hard_variance(&Exact::boxed, PYTORCH_F64);
    pytorch::hard_variance(&Single::cpu, HARD_VARIANCE_F32);
}

#[test]
fn columns_at_1e4_to_1e6_keep_their_digits() {
    pytorch::offsets(&Exact::boxed, PYTORCH_F64, PYTORCH_F64);
    pytorch::offsets(&Single::cpu, HARD_VARIANCE_F32, HARD_VARIANCE_RUNNING_F32);
}

#[test]
fn rms_prop() {
    pytorch::rms_prop(&Exact::boxed, PYTORCH_F64);
    pytorch::rms_prop(&Single::cpu, pytorch_f32(1.0));
}
