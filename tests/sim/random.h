/*
 * random: the only source of chance of a simulation.
 */
#ifndef TESTS_SIM_RANDOM_H
#define TESTS_SIM_RANDOM_H

#include <stdint.h>

/* The n-th number of a seed: splitmix64 (Steele, Lea, Flood 2014). */
static inline uint64_t
sim_mix(uint64_t seed, uint64_t n)
{
    uint64_t z = seed + 0x9e3779b97f4a7c15u * n;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void sim_random_begin(uint64_t seed); /* of what the program under test draws */

#endif
